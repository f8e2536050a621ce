/** @file One adapter's change of one weight, computed on the GPU in f32. */
import type { Tensor } from "../../engine/index.ts";
import { add, mergeWeight, type WeightWindow, weightGain } from "../../kernels/index.ts";
import type { SafetensorsFile, TensorEntry } from "../checkpoint/safetensors.ts";
import { valuesOf } from "../checkpoint/values.ts";
import { upload } from "./forms/form.ts";
import type { MakeDelta, Parts } from "./forms/index.ts";
import { sparseResidual } from "./forms/sparse.ts";
import type { Adapter } from "./lora-file.ts";
import type { Change } from "./lora-match.ts";
import type { Part } from "./lora-parts.ts";

/** Whose rule for DoRA's norm (see `doraGains`) and for OFT's constraint: they differ. */
export type DoraRule = "comfy" | "a1111";

export interface MergeStrength {
  /** Factor of the whole change. */
  readonly strength: number;
  /** Ranks of a LoRA to use, from the first on. */
  readonly rank?: number | undefined;
  readonly dora: DoraRule;
}

/** Records the change of a weight; the window is where the weight stands now. */
export type Merge = (window: WeightWindow) => void;

/** Reads what a change needs from the add-on's file. @throws ModelFileError CHECKPOINT_DTYPE */
export async function prepareMerge(file: SafetensorsFile, change: Change, options: MergeStrength): Promise<Merge> {
  const { adapter } = change;
  const parts = partsOf(file, adapter);
  const { strength } = options;
  if (change.isBias) {
    const shift = await parts.values(adapter.parts.has("diff_b") ? "diff_b" : "b_norm");
    return (window) => mergeWeight(window, { delta: column(window, shift), strength });
  }
  if (!change.form) return prepareGain(parts, change, strength);
  const alpha = adapter.parts.has("alpha") ? (await parts.values("alpha"))[0] : undefined;
  const lowRank = await change.form.prepare(parts, { rank: options.rank, alpha, rule: options.dora });
  const residual = await sparseResidual(parts, change.window);
  const makeDelta: MakeDelta = residual ? (window) => add(lowRank(window), upload(window, residual, window.outputs)) : lowRank;
  if (adapter.parts.has("set_weight")) return (window) => mergeWeight(window, { delta: makeDelta(window), keep: 0, strength: 1 });
  const scale = await scaleOf(parts, change, alpha);
  if (adapter.parts.has("dora_scale")) return prepareDora(parts, { makeDelta, scale, ...options });
  const rescale = adapter.parts.has("rescale") ? await parts.values("rescale") : undefined;
  return (window) => {
    const outputGain = rescale && window.tensor.device.upload(rescale, [rescale.length]);
    mergeWeight(window, { delta: makeDelta(window), outputGain, scale, strength });
  };
}

function partsOf(file: SafetensorsFile, { parts }: Adapter): Parts {
  const entryOf = (part: Part): TensorEntry => {
    const entry = parts.get(part);
    if (!entry) throw new RangeError(`the adapter has no ${part}`);
    return entry;
  };
  return {
    shape: (part) => parts.get(part)?.shape,
    async values(part) {
      const entry = entryOf(part);
      return valuesOf(file, entry, await file.source.read(entry.begin, entry.end));
    },
  };
}

/** s of W + m s D: alpha / rank, 1 where one of them is missing; a tensor `scale` says it outright. */
async function scaleOf(parts: Parts, { adapter, size }: Change, alpha: number | undefined): Promise<number> {
  if (parts.shape("scale")) return (await parts.values("scale"))[0] ?? 1;
  if (size?.rank === undefined) return 1;
  return alpha === undefined ? (adapter.peftScale ?? 1) : alpha / size.rank;
}

/** (IA)3 (Liu et al. 2022): W + m W w, w along the inputs or the outputs. */
async function prepareGain(parts: Parts, { window: { outputs, inner, taps } }: Change, strength: number): Promise<Merge> {
  const gain = (await parts.values("weight")).map((value) => 1 + value);
  const onInput = (await parts.values("on_input"))[0] !== 0;
  const byInput = gain.length === inner / taps && (onInput || gain.length !== outputs);
  const sides = (tensor: Tensor) => (byInput ? { inputGain: tensor } : { outputGain: tensor });
  return (window) => mergeWeight(window, { ...sides(window.tensor.device.upload(gain, [gain.length])), strength });
}

interface Dora extends MergeStrength {
  readonly makeDelta: MakeDelta;
  readonly scale: number;
}

/** DoRA (Liu et al. 2024, eq. 5): V = W + s D in its old direction with a learnt magnitude. */
async function prepareDora(parts: Parts, { makeDelta, scale, strength, dora }: Dora): Promise<Merge> {
  const magnitude = await parts.values("dora_scale");
  const perOutput = (window: WeightWindow) => parts.shape("dora_scale")?.[0] === window.outputs;
  return (window) => {
    const delta = makeDelta(window);
    const values = window.tensor.device.upload(magnitude, [magnitude.length], "f32", "magnitudes");
    mergeWeight(window, {
      delta,
      scale,
      strength,
      ...doraGains(window, { delta, scale, values, byOutput: perOutput(window) }, dora),
    });
  };
}

/** f32's distance from 1 to the next number. */
const epsilon = 2 ** -23;

interface DoraNorms {
  readonly delta: Tensor;
  readonly scale: number;
  readonly values: Tensor;
  readonly byOutput: boolean;
}

/**
 * ComfyUI divides by the norms of W's outputs, or of V's inputs, whichever the magnitudes are of; AUTOMATIC1111's web UI 1.10 by the norms of
 * V's inputs always.
 */
function doraGains(window: WeightWindow, { delta, scale, values, byOutput }: DoraNorms, rule: DoraRule) {
  if (rule === "a1111") {
    const norms = { axis: "input", delta, scale, epsilon: 0 } as const;
    if (!byOutput) return { inputGain: weightGain(window, { ...norms, magnitude: values }) };
    return { inputGain: weightGain(window, norms), outputGain: values };
  }
  if (byOutput) return { outputGain: weightGain(window, { axis: "output", magnitude: values, epsilon }) };
  return { inputGain: weightGain(window, { axis: "input", delta, scale, magnitude: values, epsilon }) };
}

/** A vector as a weight of one input. */
function column(window: WeightWindow, values: Float32Array): Tensor {
  return window.tensor.device.upload(values, [values.length, 1], "f32", "shift");
}
