/** @file Compares limn with what the original implementations gave: every recorded tensor that it can compute. */
import { type Device, ModelFileError, ShapeError } from "../../engine/index.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { addonCases, type OpenAddon } from "./addon-cases.ts";
import { type Difference, difference, diverges } from "./comparison.ts";
import { rngCases } from "./rng-cases.ts";
import { runCases } from "./run-cases.ts";
import { samplerCases } from "./sampler-cases.ts";
import { textCases } from "./text-cases.ts";
import { type Computed, only, type RecordedTensors, type TraceCases } from "./trace-case.ts";
import { loadTraceModel, needsModel } from "./trace-model.ts";
import { unetCases } from "./unet-cases.ts";
import { vaeCases } from "./vae-cases.ts";

export interface TracedTensor extends Difference {
  /** As in the file. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Beyond the tolerance. */
  readonly diverges: boolean;
}

export interface TraceReport {
  /** In the order of their execution. */
  readonly tensors: readonly TracedTensor[];
  /** The first one beyond the tolerance: errors after it may follow from it. */
  readonly firstDivergent: string | undefined;
  /** Recorded results that limn can't compute (yet). */
  readonly skipped: readonly string[];
}

export interface TraceOptions {
  readonly device: Device;
  /** The checkpoint that the modules' cases were recorded with; needed where `needsModel` says so. */
  readonly checkpoint?: SafetensorsFile | undefined;
  /** Largest relative error. Default 1e-3. */
  readonly tolerance?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Opens the add-ons that cases were recorded with; without it they are skipped. */
  readonly openAddon?: OpenAddon | undefined;
}

const samplerNames = /^(k|d|schedule|noise)\.|^sigmas\.model$|^alphas_cumprod$/;
const rngNames = /^(cpu|philox)\.\d+\.\d+$/;
const inputNames =
  /^(text|open|clip)\.ids$|^unet\.(x|t|context)(\.long)?$|^vae\.(image|z)$|^run\.(noise|step_noise)$|^noise\.|^control\.hint$|^sizes$/;

/** The constants of the noise schedule: checkpoints have them, too. */
const tableNames = /^(alphas_cumprod|sigmas\.model)$/;

/** Whether a file has anything to compare with: a model, of which the tables alone could be, is not meant. */
export function holdsCases(recorded: RecordedTensors): boolean {
  const names = [...recorded.shapes.keys()].filter((name) => !tableNames.test(name));
  return names.length === 0
    ? recorded.shapes.size > 0
    : needsModel(recorded) || names.some((name) => samplerNames.test(name) || rngNames.test(name));
}

/**
 * Yields every tensor as soon as it is compared.
 * @throws ModelFileError CASES_MODEL, CASES_METADATA and those of a checkpoint; what the device throws
 */
export async function* trace(recorded: RecordedTensors, options: TraceOptions): AsyncGenerator<TracedTensor, TraceReport> {
  const tensors: TracedTensor[] = [];
  for await (const { name, values } of computed(recorded, options)) {
    options.signal?.throwIfAborted();
    const found = difference(name, values, await recorded.read(name));
    const shape = recorded.shapes.get(name)!;
    const tensor = { name, shape, ...found, diverges: diverges(name, found, options.tolerance ?? 1e-3) };
    tensors.push(tensor);
    yield tensor;
  }
  const done = new Set(tensors.map(({ name }) => name));
  return {
    tensors,
    firstDivergent: tensors.find((tensor) => tensor.diverges)?.name,
    skipped: [...recorded.shapes.keys()].filter((name) => !done.has(name) && !inputNames.test(name)),
  };
}

async function* computed(recorded: RecordedTensors, { device, checkpoint, openAddon }: TraceOptions): AsyncGenerator<Computed> {
  yield* casesOf(rngCases(only(recorded, rngNames)));
  yield* casesOf(samplerCases(only(recorded, samplerNames), device));
  if (checkpoint === undefined || !needsModel(recorded)) return;
  const model = await loadTraceModel(checkpoint, device, recorded);
  try {
    yield* textCases(recorded, model);
    yield* unetCases(recorded, model);
    yield* vaeCases(recorded, model);
    yield* runCases(recorded, model);
    if (openAddon) yield* addonCases(recorded, model, openAddon);
  } catch (error) {
    throw error instanceof ShapeError ? otherModel(checkpoint.source.name, error) : error;
  } finally {
    model.free();
  }
}

/** Shapes that don't meet are no divergence: nothing was compared. */
function otherModel(file: string, cause: ShapeError): ModelFileError {
  return new ModelFileError("CASES_MODEL", `${file}: the cases are another model's: ${cause.message}`, {
    hint: "give the checkpoint that they were recorded with: -m FILE",
    context: { file },
    cause,
  });
}

async function* casesOf({ cases }: TraceCases): AsyncGenerator<Computed> {
  for (const { name, run } of cases) yield { name, values: await run() };
}
