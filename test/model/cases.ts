/** @file Cases files and checkpoints for the tests of the models: those in the repository, and the larger ones beside it. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { recordedFile } from "../../model/trace/recorded-file.ts";
import { type TracedTensor, type TraceReport, trace } from "../../model/trace/trace.ts";
import type { RecordedTensors } from "../../model/trace/trace-case.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export const embeddedModel = path("../../checkpoints/limn-emoji.safetensors");
export const embeddedCases = path("../fixtures/limn-emoji.cases.safetensors");

const shared = path("../../../shared/fixtures/");

/** Why the larger fixtures can't be used here, or undefined if they can. */
export const missingFixtures = existsSync(shared)
  ? undefined
  : `no ${shared}: recorded outputs of the originals are not on this machine`;

export function fixture(name: string): { model: string; cases: string } {
  return { model: `${shared}${name}.safetensors`, cases: `${shared}${name}.cases.safetensors` };
}

export interface TraceFiles {
  readonly model: string;
  readonly cases: string;
  /** Leaves some of the recorded tensors out, or changes them. */
  readonly change?: (recorded: RecordedTensors) => RecordedTensors;
  readonly tolerance?: number;
}

/** Everything that `limn trace` reports of a cases file. */
export async function traceFiles(
  device: Device,
  { model, cases, change = (all) => all, tolerance }: TraceFiles,
): Promise<TraceReport> {
  const [modelSource, casesSource] = [await openFile(model), await openFile(cases)];
  try {
    const recorded = change(recordedFile(await openSafetensors(casesSource)));
    const comparing = trace(recorded, { device, checkpoint: await openSafetensors(modelSource), tolerance });
    let step = await comparing.next();
    while (!step.done) step = await comparing.next();
    return step.value;
  } finally {
    await modelSource.close();
    await casesSource.close();
  }
}

/** Groups of recorded tensors, and how close each must come in f32 (another order of summation than the originals'). */
export const groups = [
  { name: "text", pattern: /^(text|clip|open)\./, tolerance: 2e-5 },
  { name: "U-Net", pattern: /^unet\./, tolerance: 5e-5 },
  { name: "VAE", pattern: /^vae\./, tolerance: 5e-5 },
  { name: "sigmas", pattern: /^run\.(.*\.)?sigmas$/, tolerance: 1e-5 },
  { name: "runs", pattern: /^run\..*(?<!sigmas|image)$/, tolerance: 1e-3 },
] as const;

/** The tensor of a group that is furthest off. */
export function worst(tensors: readonly TracedTensor[], pattern: RegExp): TracedTensor | undefined {
  const found = tensors.filter(({ name }) => pattern.test(name));
  return found.reduce<TracedTensor | undefined>((a, b) => (a && a.relativeError >= b.relativeError ? a : b), undefined);
}
