/** @file `limn trace`: compares every module, sampler, schedule and generator with recorded outputs of the originals. */
import { FileSystemError, ModelFileError } from "../../engine/errors.ts";
import type { ByteSource } from "../../model/checkpoint/byte-source.ts";
import { openModelFile } from "../../model/checkpoint/open.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import type { OpenAddon } from "../../model/trace/addon-cases.ts";
import { recordedFile } from "../../model/trace/recorded-file.ts";
import { holdsCases, type TracedTensor, type TraceReport, trace } from "../../model/trace/trace.ts";
import type { RecordedTensors } from "../../model/trace/trace-case.ts";
import { needsModel } from "../../model/trace/trace-model.ts";
import { openFile } from "../files/file-source.ts";
import { openDevice } from "../gpu/device.ts";
import { embeddedModel } from "../models/embedded-model.ts";
import { openModelSource } from "../models/model-source.ts";
import type { CommandContext, TraceOptions } from "../syntax/options.ts";
import { counted } from "../terminal/counted.ts";
import { exitCodes } from "../terminal/exit-codes.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** Exit code 1 where a tensor diverges. @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(options: TraceOptions, { signal }: CommandContext): Promise<void> {
  const { json, quiet, tolerance } = options;
  const limits = options.maxHeader === undefined ? {} : { maxHeader: options.maxHeader };
  const opened: { close(): Promise<void> }[] = [];
  const open = async <T extends { close(): Promise<void> }>(path: string, opener: (path: string) => Promise<T>): Promise<T> => {
    const source = await opener(path);
    opened.push(source);
    return source;
  };
  try {
    const recorded = recordedFile(await openSafetensors(await open(options.reference, openFile), limits));
    expectCases(recorded, options.reference);
    const path = options.model ?? (needsModel(recorded) ? embeddedModel : undefined);
    const checkpoint = path === undefined ? undefined : await openModelFile(await open(path, openModelSource), limits);
    const { device, close } = await openDevice(options);
    try {
      const openAddon = addonsBeside(path, open);
      const comparing = trace(recorded, { device, checkpoint, tolerance, signal, openAddon });
      const width = Math.max(...[...recorded.shapes.keys()].map((name) => name.length));
      let step = await comparing.next();
      for (; !step.done; step = await comparing.next()) if (!json && !quiet) await writeStdout(line(step.value, width));
      device.check();
      await writeStdout(json ? toJson(step.value) : summary(step.value, tolerance));
      if (step.value.firstDivergent !== undefined) process.exitCode = exitCodes.bug;
    } finally {
      close();
    }
  } finally {
    for (const source of opened) await source.close();
  }
}

/** `<model stem>.<kind>.safetensors` in the model's folder. */
function addonsBeside(
  model: string | undefined,
  open: (path: string, opener: typeof openFile) => Promise<ByteSource & { close(): Promise<void> }>,
): OpenAddon | undefined {
  if (model === undefined || !model.endsWith(".safetensors")) return undefined;
  return async (kind) => {
    try {
      return await open(model.replace(/\.safetensors$/, `.${kind}.safetensors`), openFile);
    } catch (error) {
      if (error instanceof FileSystemError && error.code === "FS_NOT_FOUND") return undefined;
      throw error;
    }
  };
}

function expectCases(recorded: RecordedTensors, path: string): void {
  if (holdsCases(recorded)) return;
  const fact =
    recorded.shapes.size === 0
      ? "the file has no tensors"
      : `none of its ${counted(recorded.shapes.size, "tensor")} is a recorded case`;
  throw new ModelFileError("CASES_EMPTY", `${path}: ${fact}`, {
    hint: "give a file of recorded cases with --reference, and a model with -m",
    context: { file: path },
  });
}

/** `unet.out  [2, 4, 16, 24]  4.1e-7  2.2e-7` */
function line({ name, shape, maxAbsError, relativeError, diverges }: TracedTensor, width: number): string {
  const columns = [name.padEnd(width), `[${shape.join(", ")}]`.padEnd(20), exponential(maxAbsError), exponential(relativeError)];
  return `${columns.join("  ")}${diverges ? "  diverges" : ""}\n`;
}

function summary({ tensors, firstDivergent, skipped }: TraceReport, tolerance: number): string {
  const lines = [
    firstDivergent === undefined
      ? `${counted(tensors.length, "tensor")} ${tensors.length === 1 ? "agrees" : "agree"} within ${tolerance} of ${tensors.length === 1 ? "its" : "their"} largest value`
      : `${tensors.filter(({ diverges }) => diverges).length} of ${counted(tensors.length, "tensor")} diverge by more than ${tolerance} of their largest value, first ${firstDivergent}`,
    ...(skipped.length > 0 ? [`${skipped.length} skipped, limn does not compute them: ${skipped.join(", ")}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

function toJson({ tensors, firstDivergent, skipped }: TraceReport): string {
  const rows = tensors.map(({ name, shape, maxAbsError, relativeError }) => ({ name, shape, maxAbsError, relativeError }));
  return `${JSON.stringify({ tensors: rows, firstDivergent: firstDivergent ?? null, skipped })}\n`;
}

function exponential(value: number): string {
  return value === 0 ? "0      " : value.toExponential(1).padEnd(7);
}
