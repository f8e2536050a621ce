/**
 * @file Philox4x32-10 (Salmon et al. 2011) with Box-Muller, as torch uses it on CUDA for latents up to some hundred
 * thousand elements and as A1111's random source "NV" imitates it. All 64 bits of the seed count.
 */

import type { Generator } from "./generator.ts";

/** The originals' 2.3283064e-10 in float32, which is 2^-32; and 2 pi times that, rounded to float32. */
const UNIT = 2 ** -32;
const TURN = Math.fround(2.3283064e-10 * 6.2831855);

export class PhiloxGenerator implements Generator {
  readonly #key: readonly [number, number];
  /** Number of randn calls so far: the first word of the counter. */
  #calls = 0;

  /** @param seed 0..2^64-1 */
  constructor(seed: bigint) {
    this.#key = [Number(BigInt.asUintN(32, seed)), Number(BigInt.asUintN(32, seed >> 32n))];
  }

  /** One block of four words an element, of which two are used: element i of call c has the counter [c, 0, i, 0]. */
  randn(count: number): Float32Array {
    const values = new Float32Array(count);
    const words = new Uint32Array(4);
    for (let i = 0; i < count; i++) {
      words.set([this.#calls, 0, i, 0]);
      philox(words, this.#key);
      const radius = Math.sqrt(-2 * Math.log(words[0]! * UNIT + UNIT / 2));
      values[i] = radius * Math.sin(words[1]! * TURN + TURN / 2);
    }
    this.#calls++;
    return values;
  }
}

/** Ten rounds on the four counter words, in place. */
export function philox(words: Uint32Array, key: readonly [number, number]): void {
  let [key0, key1] = key;
  for (let round = 0; round < 10; round++) {
    const [c0, c1, c2, c3] = [words[0]!, words[1]!, words[2]!, words[3]!];
    words[0] = highProduct(0xcd9e8d57, c2) ^ c1 ^ key0;
    words[1] = Math.imul(0xcd9e8d57, c2);
    words[2] = highProduct(0xd2511f53, c0) ^ c3 ^ key1;
    words[3] = Math.imul(0xd2511f53, c0);
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
}

/** Upper 32 bits of the 64-bit product of two 32-bit words, from 16-bit halves (every partial sum stays below 2^53). */
function highProduct(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + Math.floor((aLow * bLow) / 0x10000);
  return aHigh * bHigh + Math.floor((aLow * bHigh + middle) / 0x10000);
}
