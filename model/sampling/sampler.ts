/**
 * @file What a sampler is: an asynchronous generator over noise levels that asks a denoiser and yields each new latent.
 *
 * Ownership: a run owns `x` and everything it makes; a yielded latent is valid until the generator is resumed; the
 * returned one belongs to the caller. However a run ends (return, throw, a consumer's `break`), it frees the rest.
 */

import type { Tensor } from "../../engine/index.ts";
import type { Transition } from "./transitions.ts";

/** U-Net + guidance + parameterisation. Returned tensors are f32, belong to the denoiser and are valid until its next call. */
export interface Denoiser {
  /** D(x; sigma) of a k-space x (x0 + sigma eps) at a noise level (Karras et al. 2022, eq. 3). */
  denoise(x: Tensor, sigma: number): Tensor | Promise<Tensor>;
  /** Guided noise estimate of a VP-space x (sqrt(alphaBar) x0 + sqrt(1 - alphaBar) eps) at a whole training timestep. */
  eps(x: Tensor, timestep: number): Tensor | Promise<Tensor>;
}

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
  /** The next draw of unit noise, shaped like x; the caller's own. */
  readonly noise: () => Tensor;
  /** Share of fresh noise in samplers that know it: 0 is deterministic. */
  readonly eta: number;
}

/** Run of a sampler in k-space: from sigmas[0] down to sigmas.at(-1), usually 0. */
export interface SigmaRun extends Run<"denoise"> {
  readonly sigmas: readonly number[];
}

/** Run of a sampler in VP space, from timestep to timestep. */
export interface TimestepRun extends Run<"eps"> {
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
