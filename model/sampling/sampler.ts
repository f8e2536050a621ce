/**
 * @file What a sampler is: an asynchronous generator over noise levels that asks a denoiser and yields each new latent.
 *
 * Ownership: a run owns `x` and everything it makes; a yielded latent is valid until the generator is resumed; the
 * returned one belongs to the caller. However a run ends (return, throw, a consumer's `break`), it frees the rest.
 */

import type { Tensor } from "../../engine/index.ts";
import type { Transition } from "./transitions.ts";

/** A noise level in VP space, and the timestep that the model is told there. */
export interface NoiseLevel {
  readonly timestep: number;
  readonly alphaBar: number;
}

/** D of a k-space x, guided, and that of the negative prompt alone. */
export interface BothDenoised {
  readonly guided: Tensor;
  readonly negative: Tensor;
}

/**
 * U-Net + guidance + parameterisation. Returned tensors are f32, belong to the denoiser and are valid until its next call.
 * k-space: x = x0 + sigma eps.  VP space: x = sqrt(alphaBar) x0 + sqrt(1 - alphaBar) eps.
 */
export interface Denoiser {
  /** D(x; sigma) of a k-space x (Karras et al. 2022, eq. 3). */
  denoise(x: Tensor, sigma: number): Tensor | Promise<Tensor>;
  /** The same with what it was guided away from, for CFG++. Without guidance both are the same. */
  denoiseBoth(x: Tensor, sigma: number): BothDenoised | Promise<BothDenoised>;
  /** Guided noise estimate of a VP-space x. */
  eps(x: Tensor, level: NoiseLevel): Tensor | Promise<Tensor>;
  /** Guided x0 estimate of a VP-space x; with v-prediction down to alphaBar = 0, where eps says nothing about x0. */
  x0(x: Tensor, level: NoiseLevel): Tensor | Promise<Tensor>;
}

/** Unit noise shaped like the latent, the caller's own, for the step between two sigmas (only Brownian noise looks at them). */
export type DrawNoise = (from: number, to: number) => Tensor;

export interface SamplerStep {
  /** 0 for the first latent yielded. */
  readonly step: number;
  /** Noise level that the latent has now. */
  readonly sigma: number;
  /** In k-space from samplers that run on sigmas, in VP space from those that run on timesteps; the two meet at sigma 0. */
  readonly latent: Tensor;
}

export type Sampling = AsyncGenerator<SamplerStep, Tensor>;

export interface Run<Part extends keyof Denoiser> {
  readonly denoiser: Pick<Denoiser, Part>;
  /** Where to start, f32; the run's own from now on. */
  readonly x: Tensor;
  readonly noise: DrawNoise;
  /** Share of fresh noise in samplers that know it: 0 is deterministic. */
  readonly eta: number;
  /** What fresh noise is multiplied by (Karras et al. 2022: S_noise). Default 1. */
  readonly noiseScale?: number | undefined;
}

/** Noise added before a step, in `euler`, `heun` and `dpm_2` (Karras et al. 2022, Alg. 2). */
export interface Churn {
  /** S_churn: the whole run's; 0 adds none. */
  readonly amount: number;
  /** S_tmin, S_tmax: the sigmas between which it happens. */
  readonly from: number;
  readonly to: number;
}

/** Run of a sampler in k-space: from sigmas[0] down to sigmas.at(-1), usually 0. */
export interface SigmaRun extends Run<"denoise" | "denoiseBoth"> {
  readonly sigmas: readonly number[];
  /** Default: none. */
  readonly churn?: Churn | undefined;
}

/** Run of a sampler in VP space, from timestep to timestep. */
export interface TimestepRun extends Run<"eps" | "x0" | "denoiseBoth"> {
  readonly transitions: readonly Transition[];
}

export type SigmaSampler = (run: SigmaRun) => Sampling;
export type TimestepSampler = (run: TimestepRun) => Sampling;

export interface Interval {
  readonly step: number;
  readonly sigma: number;
  readonly next: number;
}

/** The steps of a list of sigmas: from each to the next. */
export function intervals(sigmas: readonly number[]): Interval[] {
  return sigmas.slice(1).map((next, step) => ({ step, sigma: sigmas[step]!, next }));
}
