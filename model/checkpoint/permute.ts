/**
 * @file A weight's way from the file's layout to the device's, on the CPU: converted to the storage dtype and permuted so that
 * outputs come last. One rule serves all: element (output o, inner index j) goes to `target[row(j) * width + column + o]`.
 */

import type { WeightFileDType } from "./dtypes.ts";
import { floatBitsToHalf } from "./numbers.ts";

/** Elements as raw bits: 16 bits for f16, 32 for f32. */
export type Bits = Uint16Array | Uint32Array;

/** Where the inner indices of a weight lie on the device. */
export interface Layout {
  /** Elements of one output in the file: in, or in * KH * KW. */
  readonly inner: number;
  /** Device row of each inner index. */
  readonly rows: Int32Array;
  /** Elements of a device row: all outputs, padded. */
  readonly width: number;
  /** Elements on the device, padding included. */
  readonly size: number;
  /** Some device elements are padding, which must be zero. */
  readonly padded: boolean;
}

/** Rounds up to a multiple of four: rows of whole vec4s. */
export function roundUp4(count: number): number {
  return Math.ceil(count / 4) * 4;
}

/** File [out, in] -> device [in, width]. */
export function linearLayout(outputs: number, inputs: number): Layout {
  const width = roundUp4(outputs);
  return {
    inner: inputs,
    rows: Int32Array.from({ length: inputs }, (_, j) => j),
    width,
    size: inputs * width,
    padded: width !== outputs,
  };
}

/** File [O, I, KH, KW] -> device [KH, KW, inputs >= I, O padded]. */
export function convLayout(outputs: number, inputs: number, taps: number, deviceInputs: number): Layout {
  const width = roundUp4(outputs);
  const rows = new Int32Array(inputs * taps);
  for (let i = 0; i < inputs; i++) for (let tap = 0; tap < taps; tap++) rows[i * taps + tap] = tap * deviceInputs + i;
  const size = taps * deviceInputs * width;
  return { inner: inputs * taps, rows, width, size, padded: width !== outputs || deviceInputs !== inputs };
}

/** File order kept: a vector, or a matrix that is [in, out] already. */
export function flatLayout(count: number): Layout {
  const width = roundUp4(count);
  return { inner: 1, rows: new Int32Array(1), width, size: width, padded: width !== count };
}

const block = 32;

/**
 * Scatters outputs `first`.. of `source` (file order, whole outputs) into `target`. Blocked, so that both sides stay in the
 * first-level cache: the file is read along `inner`, the device is written along the outputs.
 */
export function scatter(source: Bits, target: Bits, layout: Layout, first: number): void {
  const { inner, rows, width } = layout;
  if (inner === 1) {
    target.set(source, first);
    return;
  }
  const outputs = source.length / inner;
  for (let j0 = 0; j0 < inner; j0 += block) {
    const j1 = Math.min(j0 + block, inner);
    for (let o0 = 0; o0 < outputs; o0 += block) {
      const o1 = Math.min(o0 + block, outputs);
      for (let j = j0; j < j1; j++) {
        const base = rows[j]! * width + first;
        let from = o0 * inner + j;
        for (let o = o0; o < o1; o++, from += inner) target[base + o] = source[from]!;
      }
    }
  }
}

/** Bits of the largest magnitude among `source`, as F32 bits: at 0x7f800000 and above there is an infinity or NaN. */
export function largestMagnitude(source: Bits, dtype: WeightFileDType, halfTable: Uint32Array): number {
  let largest = 0;
  if (dtype === "F32") {
    for (let i = 0; i < source.length; i++) {
      const magnitude = source[i]! & 0x7fffffff;
      if (magnitude > largest) largest = magnitude;
    }
    return largest;
  }
  for (let i = 0; i < source.length; i++) {
    const magnitude = source[i]! & 0x7fff;
    if (magnitude > largest) largest = magnitude;
  }
  return dtype === "F16" ? halfTable[largest]! : largest << 16;
}

/** `source` as f16 or f32 bits; `scratch` is written where the format changes, and returned in part. */
export function convert(
  source: Bits,
  dtype: WeightFileDType,
  to: "f16" | "f32",
  halfTable: Uint32Array,
  scratch: ArrayBuffer,
): Bits {
  const count = source.length;
  if ((dtype === "F16" && to === "f16") || (dtype === "F32" && to === "f32")) return source;
  if (to === "f16") {
    const half = new Uint16Array(scratch, 0, count);
    const shift = dtype === "BF16" ? 16 : 0;
    for (let i = 0; i < count; i++) half[i] = floatBitsToHalf(source[i]! << shift);
    return half;
  }
  const single = new Uint32Array(scratch, 0, count);
  if (dtype === "BF16") for (let i = 0; i < count; i++) single[i] = source[i]! << 16;
  else for (let i = 0; i < count; i++) single[i] = halfTable[source[i]!]!;
  return single;
}
