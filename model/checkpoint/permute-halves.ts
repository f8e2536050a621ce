/**
 * @file The commonest weight, F16 in even rows, permuted two elements at a time: a word of the file holds two inner indices of
 * one output, a word of an f16 target one inner index of two outputs. The check for NaN and infinity rides along.
 */
import type { Layout } from "./permute.ts";

/** True where `scatterHalves` can do it: every row of file and device begins at a whole word. */
export function suitsHalves(source: Uint16Array, target: Uint16Array | Uint32Array, layout: Layout, first: number): boolean {
  const { inner } = layout;
  const outputs = source.length / inner;
  return (
    inner > 1 &&
    inner % 2 === 0 &&
    outputs % 8 === 0 &&
    first % 2 === 0 &&
    source.byteOffset % 4 === 0 &&
    target.byteOffset % 4 === 0
  );
}

/** Inner pairs at a time, of f16 and of f32 rows: they stay in the nearer caches while outputs go by. */
const halvesBlock = 128;
const singlesBlock = 128;

/**
 * As `scatter`, for F16 into f16 or, with `table` (F32 bits by F16 bits), f32.
 * @returns 0x7f800000 where there is a NaN or infinity, 0 where all is zero, else 1
 */
export function scatterHalves(
  source: Uint16Array,
  target: Uint16Array | Uint32Array,
  layout: Layout,
  first: number,
  table: Int32Array,
): number {
  const from = new Int32Array(source.buffer, source.byteOffset, source.length >> 1);
  const to = new Int32Array(target.buffer, target.byteOffset, target.byteLength >> 2);
  const seen = target instanceof Uint16Array ? intoHalves(from, to, layout, first) : intoSingles(from, to, layout, first, table);
  return seen.carry < 0 || (seen.carry & 0x8000) !== 0 ? 0x7f800000 : Number((seen.any & 0x7fff7fff) !== 0);
}

/** `any`: all words or'ed; an exponent of all ones, and only that, carries into the sign bit when one is added to it. */
interface Seen {
  readonly any: number;
  readonly carry: number;
}

function intoHalves(from: Int32Array, to: Int32Array, layout: Layout, first: number): Seen {
  const pairs = layout.inner >> 1;
  const outputs = from.length / pairs;
  const begins = rowBegins(layout, first);
  let [any, carry] = [0, 0];
  for (let p0 = 0; p0 < pairs; p0 += halvesBlock) {
    const p1 = Math.min(p0 + halvesBlock, pairs);
    for (let o = 0; o < outputs; o += 8) {
      for (let p = p0; p < p1; p++) {
        const at = o * pairs + p;
        const a = from[at]!;
        const b = from[at + pairs]!;
        const c = from[at + 2 * pairs]!;
        const d = from[at + 3 * pairs]!;
        const e = from[at + 4 * pairs]!;
        const f = from[at + 5 * pairs]!;
        const g = from[at + 6 * pairs]!;
        const h = from[at + 7 * pairs]!;
        const even = (begins[2 * p]! + o) >> 1;
        const odd = (begins[2 * p + 1]! + o) >> 1;
        to[even] = (a & 0xffff) | (b << 16);
        to[even + 1] = (c & 0xffff) | (d << 16);
        to[even + 2] = (e & 0xffff) | (f << 16);
        to[even + 3] = (g & 0xffff) | (h << 16);
        to[odd] = (a >>> 16) | (b & 0xffff0000);
        to[odd + 1] = (c >>> 16) | (d & 0xffff0000);
        to[odd + 2] = (e >>> 16) | (f & 0xffff0000);
        to[odd + 3] = (g >>> 16) | (h & 0xffff0000);
        any |= a | b | c | d | e | f | g | h;
        carry |= carryOf(a) | carryOf(b) | carryOf(c) | carryOf(d) | carryOf(e) | carryOf(f) | carryOf(g) | carryOf(h);
      }
    }
  }
  return { any, carry };
}

function intoSingles(from: Int32Array, to: Int32Array, layout: Layout, first: number, table: Int32Array): Seen {
  const pairs = layout.inner >> 1;
  const outputs = from.length / pairs;
  const begins = rowBegins(layout, first);
  let [any, carry] = [0, 0];
  for (let p0 = 0; p0 < pairs; p0 += singlesBlock) {
    const p1 = Math.min(p0 + singlesBlock, pairs);
    for (let o = 0; o < outputs; o += 4) {
      for (let p = p0; p < p1; p++) {
        const at = o * pairs + p;
        const a = from[at]!;
        const b = from[at + pairs]!;
        const c = from[at + 2 * pairs]!;
        const d = from[at + 3 * pairs]!;
        const even = begins[2 * p]! + o;
        const odd = begins[2 * p + 1]! + o;
        to[even] = table[a & 0xffff]!;
        to[even + 1] = table[b & 0xffff]!;
        to[even + 2] = table[c & 0xffff]!;
        to[even + 3] = table[d & 0xffff]!;
        to[odd] = table[a >>> 16]!;
        to[odd + 1] = table[b >>> 16]!;
        to[odd + 2] = table[c >>> 16]!;
        to[odd + 3] = table[d >>> 16]!;
        any |= a | b | c | d;
        carry |= carryOf(a) | carryOf(b) | carryOf(c) | carryOf(d);
      }
    }
  }
  return { any, carry };
}

/** Of each inner index: where its first output goes. */
function rowBegins({ inner, rows, width }: Layout, first: number): Int32Array {
  const begins = new Int32Array(inner);
  for (let j = 0; j < inner; j++) begins[j] = rows[j]! * width + first;
  return begins;
}

/** Bit 15 or 31 is set where one of the two halves has an exponent of all ones. */
function carryOf(pair: number): number {
  return (pair & 0x7c007c00) + 0x04000400;
}
