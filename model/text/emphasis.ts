/** @file What the weights of a prompt do to the text encoder's output. A1111 1.10: modules/sd_emphasis.py; ComfyUI: comfy/sd1_clip.py. */
import type { Emphasis } from "../../tokenizer/prompt/index.ts";

/**
 * Applies weights to one chunk of each text of a batch: states [B][77 * C], weights [B][77].
 * "original": z w mean(z) / mean(z w), means over the whole batch; "no-norm": z w; "comfy": z0 + w (z - z0), where z0 is `empty`, the
 * encoder's output for an empty prompt; the others leave z.
 */
export function emphasise(
  states: readonly Float32Array[],
  weights: readonly Float64Array[],
  mode: Emphasis,
  empty?: Float32Array,
): Float32Array[] {
  if (mode === "ignore" || mode === "none" || weights.every((row) => row.every((weight) => weight === 1))) return [...states];
  if (mode === "comfy") return states.map((z, b) => awayFrom(empty!, z, weights[b]!));
  const weighted = states.map((z, b) => {
    const row = weights[b]!;
    const width = z.length / row.length;
    return z.map((value, i) => value * row[Math.floor(i / width)]!);
  });
  if (mode === "no-norm") return weighted;
  const factor = mean(states) / mean(weighted);
  return weighted.map((z) => z.map((value) => value * factor));
}

function awayFrom(empty: Float32Array, z: Float32Array, weights: Float64Array): Float32Array {
  const width = z.length / weights.length;
  return z.map((value, i) => empty[i]! + weights[Math.floor(i / width)]! * (value - empty[i]!));
}

function mean(batch: readonly Float32Array[]): number {
  let [sum, count] = [0, 0];
  for (const values of batch) {
    for (const value of values) sum += value;
    count += values.length;
  }
  return sum / count;
}
