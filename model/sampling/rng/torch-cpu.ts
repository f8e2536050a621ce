/**
 * @file torch.Generator("cpu"): the same seed gives the same noise as `torch.randn` (float32) on a CPU.
 * After aten's CPUGeneratorImpl and DistributionTemplates; torch's own logarithm and sine are polynomials of its
 * vector path, so values agree to about 4e-7, not to the bit.
 */

import type { Generator } from "./generator.ts";
import { MersenneTwister } from "./mersenne-twister.ts";

/** Tensors at least this long take torch's vector path, in blocks of this many. */
const BLOCK = 16;
const TWO_PI = Math.fround(2 * Math.PI);

export class TorchCpuGenerator implements Generator {
  readonly #engine: MersenneTwister;
  /** Second half of the last scalar Box-Muller pair; block draws neither use nor clear it. */
  #cachedNormal: number | undefined;

  /** @param seed 0..2^64-1; torch keeps its low 32 bits only. */
  constructor(seed: bigint) {
    this.#engine = new MersenneTwister(Number(BigInt.asUintN(32, seed)));
  }

  randn(count: number): Float32Array {
    const values = new Float32Array(count);
    if (count < BLOCK) return values.map(() => this.#scalarNormal());
    for (let i = 0; i < count; i++) values[i] = this.#uniform24();
    for (let i = 0; i + BLOCK <= count; i += BLOCK) boxMuller(values.subarray(i, i + BLOCK));
    if (count % BLOCK !== 0) {
      // The last 16 values are drawn anew, over the end of the last whole block.
      const tail = values.subarray(count - BLOCK);
      for (let i = 0; i < BLOCK; i++) tail[i] = this.#uniform24();
      boxMuller(tail);
    }
    return values;
  }

  /** Uniform in [0, 1) with 24 bits. */
  #uniform24(): number {
    return (this.#engine.next() & 0xffffff) / 2 ** 24;
  }

  /** Uniform in [0, 1) with 53 bits: the low 21 of one word above all 32 of the next. */
  #uniform53(): number {
    const high = this.#engine.next() & 0x1fffff;
    return (high * 2 ** 32 + this.#engine.next()) / 2 ** 53;
  }

  /** Box-Muller in double precision, two values a time. */
  #scalarNormal(): number {
    const cached = this.#cachedNormal;
    this.#cachedNormal = undefined;
    if (cached !== undefined) return cached;
    const angle = 2 * Math.PI * this.#uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#uniform53()));
    this.#cachedNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}

/** 16 uniforms to 16 normals in place, pairs eight apart; each step rounded to float32 to stay close to torch's. */
function boxMuller(block: Float32Array): void {
  const { fround } = Math;
  for (let j = 0; j < BLOCK / 2; j++) {
    const radius = fround(Math.sqrt(-2 * fround(Math.log(1 - block[j]!))));
    const angle = fround(TWO_PI * block[j + BLOCK / 2]!);
    block[j] = radius * fround(Math.cos(angle));
    block[j + BLOCK / 2] = radius * fround(Math.sin(angle));
  }
}
