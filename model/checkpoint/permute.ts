/**
 * @file A weight's way from the file's layout to the device's, on the CPU: converted to the storage dtype and permuted so that
 * outputs come last. One rule serves all: element (output o, inner index j) goes to `target[row(j) * width + column + o]`.
 */

import type { WeightFileDType } from "./dtypes.ts";
import { as16, as32, byteBits, floatBitsToHalf, halfBits } from "./numbers.ts";

/** Elements as raw bits: 8, 16 or 32 of a file's dtype; 16 or 32 of the device's. */
export type Bits = Uint8Array | Uint16Array | Uint32Array;

/** Where the inner indices of a weight lie on the device. */
export interface Layout {
  /** Elements of one output in the file: in, or in * KH * KW. */
  readonly inner: number;
  /** Inner index j is tap j % taps of input j / taps, and lies in row tap * inputs + input. */
  readonly taps: number;
  /** Inputs on the device, padding included. */
  readonly inputs: number;
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
  const rows = new Int32Array(inputs);
  for (let j = 0; j < inputs; j++) rows[j] = j;
  return {
    inner: inputs,
    taps: 1,
    inputs,
    rows,
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
  return {
    inner: inputs * taps,
    taps,
    inputs: deviceInputs,
    rows,
    width,
    size,
    padded: width !== outputs || deviceInputs !== inputs,
  };
}

/** File order kept: a vector, or a matrix that is [in, out] already. */
export function flatLayout(count: number): Layout {
  const width = roundUp4(count);
  return { inner: 1, taps: 1, inputs: 1, rows: new Int32Array(1), width, size: width, padded: width !== count };
}

/** Inner indices at a time: their device rows stay in the first-level cache while outputs go by in eights. */
const block = 64;

/**
 * Scatters outputs `first`.. of `source` (file order, whole outputs) into `target`: the file is read along `inner`, eight
 * outputs side by side, the device is written along the outputs.
 */
export function scatter(source: Bits, target: Bits, layout: Layout, first: number): void {
  const { inner, rows, width } = layout;
  if (inner === 1) {
    target.set(source, first);
    return;
  }
  const outputs = source.length / inner;
  const eights = outputs - (outputs % 8);
  for (let j0 = 0; j0 < inner; j0 += block) {
    const j1 = Math.min(j0 + block, inner);
    for (let o = 0; o < eights; o += 8) {
      for (let j = j0; j < j1; j++) {
        const to = rows[j]! * width + first + o;
        const from = o * inner + j;
        target[to] = source[from]!;
        target[to + 1] = source[from + inner]!;
        target[to + 2] = source[from + 2 * inner]!;
        target[to + 3] = source[from + 3 * inner]!;
        target[to + 4] = source[from + 4 * inner]!;
        target[to + 5] = source[from + 5 * inner]!;
        target[to + 6] = source[from + 6 * inner]!;
        target[to + 7] = source[from + 7 * inner]!;
      }
    }
    for (let o = eights; o < outputs; o++) {
      for (let j = j0; j < j1; j++) target[rows[j]! * width + first + o] = source[o * inner + j]!;
    }
  }
}

/**
 * F32 bits of the largest magnitude in `source`: at 0x7f800000 and above there is an infinity or NaN, 0 means all zero.
 * For F16, whose values fit every device dtype, only these two ends are told apart from 1.
 */
export function largestMagnitude(source: Bits, dtype: WeightFileDType, scale = 1): number {
  if (dtype === "F16") return extentOfHalves(source);
  let largest = 0;
  if (dtype === "F8_E4M3" || dtype === "F8_E5M2") {
    const table = byteBits(dtype, scale);
    for (let i = 0; i < source.length; i++) largest = Math.max(largest, table[source[i]!]! & 0x7fffffff);
    return largest;
  }
  const mask = dtype === "F32" ? 0x7fffffff : 0x7fff;
  for (let i = 0; i < source.length; i++) {
    const magnitude = source[i]! & mask;
    if (magnitude > largest) largest = magnitude;
  }
  return dtype === "F32" ? largest : largest << 16;
}

/** Two halves at a time: an exponent of all ones, and only that, carries into the sign bit when one is added to it. */
function extentOfHalves(source: Bits): number {
  const odd = source.byteOffset % 4 !== 0 || source.length % 2 !== 0;
  const bits = odd ? source.slice() : source;
  const pairs = new Uint32Array(bits.buffer, bits.byteOffset, bits.length >> 1);
  const last = bits[bits.length - 1] ?? 0;
  let any = last & 0x7fff;
  let carry = (last & 0x7c00) + 0x400;
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    any |= pair & 0x7fff7fff;
    carry |= (pair & 0x7c007c00) + 0x04000400;
  }
  if ((carry & 0x80008000) !== 0) return 0x7f800000;
  return any === 0 ? 0 : 1;
}

/** Bytes of a file as elements; copied where they are not aligned. */
export function elementsOf(bytes: Uint8Array, dtype: WeightFileDType): Bits {
  if (dtype === "F32") return as32(bytes);
  return dtype === "F16" || dtype === "BF16" ? as16(bytes) : bytes;
}

/** `source` as f16 or f32 bits; `scratch`, of four bytes for each, is written where the format changes, and returned in part. */
export function convert(source: Bits, dtype: WeightFileDType, to: "f16" | "f32", scratch: ArrayBuffer, scale = 1): Bits {
  const count = source.length;
  if ((dtype === "F16" && to === "f16") || (dtype === "F32" && to === "f32")) return source;
  const table = tableOf(dtype, scale);
  const shift = dtype === "BF16" ? 16 : 0;
  if (to === "f16") {
    const half = new Uint16Array(scratch, 0, count);
    if (table) for (let i = 0; i < count; i++) half[i] = floatBitsToHalf(table[source[i]!]!);
    else for (let i = 0; i < count; i++) half[i] = floatBitsToHalf(source[i]! << shift);
    return half;
  }
  const single = new Uint32Array(scratch, 0, count);
  if (table) for (let i = 0; i < count; i++) single[i] = table[source[i]!]!;
  else for (let i = 0; i < count; i++) single[i] = source[i]! << shift;
  return single;
}

function tableOf(dtype: WeightFileDType, scale: number): Uint32Array | undefined {
  if (dtype === "F16") return halfBits();
  return dtype === "F8_E4M3" || dtype === "F8_E5M2" ? byteBits(dtype, scale) : undefined;
}
