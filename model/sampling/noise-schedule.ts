/**
 * @file The training noise schedule: how much of the picture and how much noise a timestep stands for.
 *
 *   beta_t     = (sqrt(linearStart) + t/(T-1) (sqrt(linearEnd) - sqrt(linearStart)))^2     "scaled linear" (Rombach et al. 2022)
 *   alphaBar_t = prod_{s<=t} (1 - beta_s)                                                  Ho et al. 2020, eq. 4
 *   sigma_t    = sqrt((1 - alphaBar_t) / alphaBar_t)                                       Karras et al. 2022, C.3.1
 *
 * Variance-preserving ("VP") space is x = sqrt(alphaBar) x0 + sqrt(1 - alphaBar) eps; "k-space" is x = x0 + sigma eps.
 */

import { UsageError } from "../../engine/errors.ts";

export interface NoiseScheduleConfig {
  readonly linearStart?: number;
  readonly linearEnd?: number;
  readonly timesteps?: number;
  /**
   * Shifts and scales sqrt(alphaBar) so that the last timestep is pure noise (Lin et al. 2024, Alg. 1): alphaBar there is 0. Its sigma,
   * which would be infinite, is the one that A1111 and ComfyUI give it.
   */
  readonly zeroTerminalSnr?: boolean;
}

/** alphaBar that k-space samplers see at zero terminal SNR. */
export const NEARLY_ZERO = 4.8973451890853435e-8;

export class NoiseSchedule {
  /** Number of training timesteps T. */
  readonly timesteps: number;
  /** alphaBar_t for t = 0..T-1, rounded to float32 as in the originals (it moves sigma_0 by 1e-5, so it can't be left out). */
  readonly alphaBar: Float32Array;
  /** sigma_t for t = 0..T-1, rising. */
  readonly sigmas: Float32Array;
  readonly #logSigmas: Float64Array;

  constructor({ linearStart = 0.00085, linearEnd = 0.012, timesteps = 1000, zeroTerminalSnr = false }: NoiseScheduleConfig = {}) {
    if (!(linearStart > 0 && linearEnd >= linearStart && linearEnd < 1 && Number.isInteger(timesteps) && timesteps >= 2)) {
      throw new UsageError(
        "INVALID_NOISE_SCHEDULE",
        `noise schedule: needs 0 < linearStart <= linearEnd < 1 and at least 2 timesteps, got ${linearStart}, ${linearEnd}, ${timesteps}`,
        { hint: "Stable Diffusion has 0.00085, 0.012 and 1000", context: { linearStart, linearEnd, timesteps } },
      );
    }
    this.timesteps = timesteps;
    this.alphaBar = new Float32Array(timesteps);
    this.sigmas = new Float32Array(timesteps);
    this.#logSigmas = new Float64Array(timesteps);
    let product = 1;
    for (const [t, root] of linspace(Math.sqrt(linearStart), Math.sqrt(linearEnd), timesteps).entries()) {
      product *= 1 - root * root;
      this.alphaBar[t] = product;
    }
    if (zeroTerminalSnr) shiftToZero(this.alphaBar);
    for (let t = 0; t < timesteps; t++) {
      this.sigmas[t] = alphaBarToSigma(Math.max(this.alphaBar[t]!, NEARLY_ZERO));
      this.#logSigmas[t] = Math.log(this.sigmas[t]!);
    }
  }

  get sigmaMin(): number {
    return this.sigmas[0]!;
  }

  get sigmaMax(): number {
    return this.sigmas[this.timesteps - 1]!;
  }

  /** The timestep, fractional and within 0..T-1, whose log sigma is `ln(sigma)` on the polyline through (t, ln sigma_t). */
  sigmaToTimestep(sigma: number): number {
    const target = Math.log(sigma);
    // Largest t with ln sigma_t <= target, by bisection; clamped so that t + 1 exists.
    let low = 0;
    let high = this.timesteps - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#logSigmas[middle]! <= target) low = middle;
      else high = middle;
    }
    const [below, above] = [this.#logSigmas[low]!, this.#logSigmas[high]!];
    return low + Math.min(Math.max((target - below) / (above - below), 0), 1);
  }

  /** Inverse of {@link sigmaToTimestep} for t in 0..T-1. */
  timestepToSigma(timestep: number): number {
    const t = Math.min(Math.max(timestep, 0), this.timesteps - 1);
    const low = Math.floor(t);
    const [below, above] = [this.#logSigmas[low]!, this.#logSigmas[Math.ceil(t)]!];
    return Math.exp(below + (t - low) * (above - below));
  }

  /** The same with the polyline through (t, ln alphaBar_t), as the authors of DPM-Solver and UniPC have it. */
  timestepToSigmaByAlpha(timestep: number): number {
    const t = Math.min(Math.max(timestep, 0), this.timesteps - 1);
    const low = Math.floor(t);
    const log = (at: number) => Math.log(Math.max(this.alphaBar[at]!, NEARLY_ZERO));
    return alphaBarToSigma(Math.exp(log(low) + (t - low) * (log(Math.ceil(t)) - log(low))));
  }
}

/** sigma of a VP noise level. */
export function alphaBarToSigma(alphaBar: number): number {
  return Math.sqrt((1 - alphaBar) / alphaBar);
}

/** alphaBar of a sigma: inverse of {@link alphaBarToSigma}. */
export function sigmaToAlphaBar(sigma: number): number {
  return 1 / (sigma ** 2 + 1);
}

/** In place: sqrt(alphaBar) keeps its first value and ends at 0. */
function shiftToZero(alphaBar: Float32Array): void {
  const roots = Float64Array.from(alphaBar, Math.sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  for (const [t, root] of roots.entries()) alphaBar[t] = ((root - last) * (first / (first - last))) ** 2;
}

/** `count` evenly spaced values from `first` to `last`, both included; a count of 1 gives `first`. */
export function linspace(first: number, last: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) =>
    i === count - 1 && i > 0 ? last : first + ((last - first) * i) / Math.max(count - 1, 1),
  );
}
