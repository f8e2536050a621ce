/**
 * @file The tensors of one sampler run: the latent, what is kept of earlier steps, and a trial latent within a step. The latent goes
 * to and fro between two tensors, and so does what is kept: every other step binds the same buffers, and builds no bind group.
 */

import type { Tensor } from "../../engine/index.ts";
import { combine, type Term } from "../../kernels/combine.ts";
import type { DrawNoise, Run } from "./sampler.ts";

/** Fresh noise at the end of a step: its standard deviation, and the sigmas that the step goes between. */
export interface FreshNoise {
  readonly scale: number;
  readonly from: number;
  readonly to: number;
}

/** Owns its tensors until `finish` hands out the latent; `free` gives back the rest and may be called at any time. */
export class LatentState {
  #latent: Tensor;
  #finished = false;
  #trialLatent: Tensor | undefined;
  #base: Tensor | undefined;
  readonly #history: Tensor[] = [];
  /** Tensors that a later step may write over: the latent before this one, and what was forgotten last. */
  #spareLatent: Tensor | undefined;
  #spareSum: Tensor | undefined;
  readonly #drawNoise: DrawNoise;
  readonly #noiseScale: number;

  constructor({ x, noise, noiseScale = 1 }: Pick<Run<never>, "x" | "noise" | "noiseScale">) {
    this.#latent = x;
    this.#drawNoise = noise;
    this.#noiseScale = noiseScale;
  }

  get x(): Tensor {
    return this.#latent;
  }

  /** Results kept by `remember`, newest first. */
  get kept(): readonly Tensor[] {
    return this.#history;
  }

  /** A second latent that lives from step to step, set by `keepBase`. */
  get base(): Tensor | undefined {
    return this.#base;
  }

  /** x becomes the sum of `terms`, plus fresh noise where its scale is positive: one launch. Ends the trial latent. */
  advance(terms: readonly Term[], noise?: FreshNoise): void {
    const next = this.#combine(terms, noise, this.#spareLatent);
    this.#spareLatent = this.#latent;
    this.#latent = next;
    this.#endTrial();
  }

  /** A latent to ask the denoiser about within this step; freed by the next `advance` or `trial`. */
  trial(terms: readonly Term[], noise?: FreshNoise): Tensor {
    const next = this.#combine(terms, noise);
    this.#endTrial();
    this.#trialLatent = next;
    return next;
  }

  /** Keeps the sum of `terms` for later steps, and the newest `limit` such sums in all. */
  remember(terms: readonly Term[], limit: number): void {
    const spare = this.#spareSum;
    this.#spareSum = undefined;
    this.#history.unshift(combine(terms, spare));
    if (this.#history.length > limit) this.#spareSum = this.#history.pop();
    this.forget(limit);
  }

  /** Keeps the newest `limit` sums only. */
  forget(limit: number): void {
    while (this.#history.length > limit) this.#history.pop()!.free();
  }

  /** The base becomes the sum of `terms`. */
  keepBase(terms: readonly Term[]): Tensor {
    const next = combine(terms);
    this.#base?.free();
    this.#base = next;
    return next;
  }

  /** A draw that is not used: it moves the generator on, as in the original. */
  dropNoise(from: number, to: number): void {
    this.#drawNoise(from, to).free();
  }

  /** Hands the latent over to the caller. */
  finish(): Tensor {
    this.#finished = true;
    return this.#latent;
  }

  free(): void {
    this.#endTrial();
    this.forget(0);
    for (const spare of [this.#spareLatent, this.#spareSum]) spare?.free();
    this.#spareLatent = undefined;
    this.#spareSum = undefined;
    this.#base?.free();
    this.#base = undefined;
    if (!this.#finished) this.#latent.free();
    this.#finished = true;
  }

  #combine(terms: readonly Term[], noise: FreshNoise | undefined, into?: Tensor): Tensor {
    if (noise === undefined || !(noise.scale > 0)) return combine(terms, into);
    const drawn = this.#drawNoise(noise.from, noise.to);
    try {
      return combine([...terms, [noise.scale * this.#noiseScale, drawn]], into);
    } finally {
      drawn.free();
    }
  }

  #endTrial(): void {
    this.#trialLatent?.free();
    this.#trialLatent = undefined;
  }
}
