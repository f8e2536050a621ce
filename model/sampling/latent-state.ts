/** @file The tensors of one sampler run: the latent, what is kept of earlier steps, and a trial latent within a step. */

import type { Tensor } from "../../engine/index.ts";
import { combine, type Term } from "../../kernels/combine.ts";
import type { Run } from "./sampler.ts";

/** Owns its tensors until `finish` hands out the latent; `free` gives back the rest and may be called at any time. */
export class LatentState {
  #latent: Tensor;
  #finished = false;
  #trialLatent: Tensor | undefined;
  readonly #history: Tensor[] = [];
  readonly #drawNoise: () => Tensor;

  constructor({ x, noise }: Pick<Run<never>, "x" | "noise">) {
    this.#latent = x;
    this.#drawNoise = noise;
  }

  get x(): Tensor {
    return this.#latent;
  }

  /** Results kept by `remember`, newest first. */
  get kept(): readonly Tensor[] {
    return this.#history;
  }

  /** x becomes the sum of `terms`, plus fresh noise where its scale is positive: one launch. Ends the trial latent. */
  advance(terms: readonly Term[], noiseScale = 0): void {
    const noise = noiseScale > 0 ? this.#drawNoise() : undefined;
    try {
      const next = combine(noise === undefined ? terms : [...terms, [noiseScale, noise]]);
      this.#latent.free();
      this.#latent = next;
    } finally {
      noise?.free();
    }
    this.#endTrial();
  }

  /** A latent to ask the denoiser about within this step; freed by the next `advance`. */
  trial(terms: readonly Term[]): Tensor {
    this.#endTrial();
    this.#trialLatent = combine(terms);
    return this.#trialLatent;
  }

  /** Keeps the sum of `terms` for later steps, and the newest `limit` such sums in all. */
  remember(terms: readonly Term[], limit: number): void {
    this.#history.unshift(combine(terms));
    while (this.#history.length > limit) this.#history.pop()!.free();
  }

  /** Hands the latent over to the caller. */
  finish(): Tensor {
    this.#finished = true;
    return this.#latent;
  }

  free(): void {
    this.#endTrial();
    for (const tensor of this.#history.splice(0)) tensor.free();
    if (!this.#finished) this.#latent.free();
    this.#finished = true;
  }

  #endTrial(): void {
    this.#trialLatent?.free();
    this.#trialLatent = undefined;
  }
}
