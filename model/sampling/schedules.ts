/**
 * @file Sigma schedules: which noise levels a sampler visits. Each gives falling sigmas that end in 0 (`klOptimal`: in the smallest
 * sigma), one more than there are steps (`ddim` may give a few more). `noise` is the model's training schedule.
 */

import { type BetaShape, betaQuantile } from "./beta-quantile.ts";
import { gitsLevels } from "./gits-levels.ts";
import { linspace, type NoiseSchedule } from "./noise-schedule.ts";
import { roundHalfToEven, trailingTimesteps } from "./transitions.ts";

export type Schedule = (noise: NoiseSchedule, steps: number, options?: ScheduleOptions) => number[];

export interface ScheduleOptions {
  /** Of those schedules that go by sigma alone: karras, exponential, polyexponential. Default: the model's own. */
  readonly sigmaMin?: number | undefined;
  readonly sigmaMax?: number | undefined;
  /** Curvature: 7 for karras, 1 for polyexponential. */
  readonly rho?: number | undefined;
  /** Shape of beta's distribution, each 0.6 where it is not given. */
  readonly betaAlpha?: number | undefined;
  readonly betaBeta?: number | undefined;
}

/** Even in timestep, from the last to the first (the k-diffusion "discrete" schedule; A1111: Uniform). */
export const discrete: Schedule = (noise, steps) => [
  ...linspace(noise.timesteps - 1, 0, steps).map((t) => noise.timestepToSigma(t)),
  0,
];

/** Even in sigma^(1/rho), rho = 7 (Karras et al. 2022, eq. 5). */
export const karras: Schedule = (noise, steps, options) => {
  const { sigmaMin, sigmaMax, rho } = { ...limits(noise, options), rho: options?.rho ?? 7 };
  return [...karrasSigmas(sigmaMax, sigmaMin, steps, rho), 0];
};

/** `count` sigmas from `largest` to `smallest`, even in sigma^(1/rho). */
export function karrasSigmas(largest: number, smallest: number, count: number, rho = 7): number[] {
  return linspace(largest ** (1 / rho), smallest ** (1 / rho), count).map((root) => root ** rho);
}

/** Even in log sigma. */
export const exponential: Schedule = (noise, steps, options) => polyexponential(noise, steps, { ...options, rho: 1 });

/** A ramp from 1 to 0, to the power of rho, in log sigma; rho = 1, A1111's default, makes it `exponential` (k-diffusion). */
export const polyexponential: Schedule = (noise, steps, options) => {
  const { sigmaMin, sigmaMax } = limits(noise, options);
  const span = Math.log(sigmaMax / sigmaMin);
  return [...linspace(1, 0, steps).map((ramp) => sigmaMin * Math.exp(ramp ** (options?.rho ?? 1) * span)), 0];
};

/** `discrete` for samplers that go from the first sigma to the smallest above 0: a single step has both of them too. */
export const ends: Schedule = (noise, steps) => (steps === 1 ? [noise.sigmaMax, noise.sigmaMin] : discrete(noise, steps));

/** Even in timestep from the last to the first, which ends it (UniPC's "time_uniform", as A1111 has it). */
export const timeUniform: Schedule = (noise, steps) =>
  linspace(noise.timesteps - 1, 0, steps + 1).map((t) => noise.timestepToSigma(t));

/** Even in timestep, but the last interval ends at the first timestep, which is left out (Stability-AI/generative-models). */
export const sgmUniform: Schedule = (noise, steps) => [
  ...linspace(noise.timesteps - 1, 0, steps + 1)
    .slice(0, -1)
    .map((t) => noise.timestepToSigma(t)),
  0,
];

/** Every (T/steps)-th training sigma, counted from the largest (ComfyUI). */
export const simple: Schedule = (noise, steps) => [
  ...Array.from({ length: steps }, (_, i) => noise.sigmas[noise.timesteps - 1 - Math.trunc(i * (noise.timesteps / steps))]!),
  0,
];

/** Every floor(T/steps)-th training sigma, counted up from t = 1; more than `steps` of them when T/steps isn't whole (ComfyUI). */
export const ddim: Schedule = (noise, steps) => {
  const stride = Math.max(Math.floor(noise.timesteps / steps), 1);
  const sigmas = [0];
  for (let t = 1; t < noise.timesteps; t += stride) sigmas.push(noise.sigmas[t]!);
  return sigmas.reverse();
};

/** Even in arctan sigma, down to the smallest sigma and not to 0 (Sabour et al. 2024, appendix; as A1111 has it). */
export const klOptimal: Schedule = (noise, steps) => arctanSigmas(noise, steps + 1);

/** The same with one step less of them, and then 0 (as ComfyUI has it). */
export const klOptimalComfy: Schedule = (noise, steps) => [...arctanSigmas(noise, steps), 0];

/** Quantiles of Beta(0.6, 0.6), denser at both ends, stretched over the range of sigma (Lee et al. 2024; as A1111 has it). */
export const beta: Schedule = (noise, steps, options) => [
  ...linspace(1, 0, steps).map((p) => noise.sigmaMin + betaQuantile(p, betaShape(options)) * (noise.sigmaMax - noise.sigmaMin)),
  0,
];

/** The same over the range of the timestep, rounded, each timestep once (as ComfyUI has it). */
export const betaComfy: Schedule = (noise, steps, options) => {
  const timesteps = linspace(1, 0, steps + 1)
    .slice(0, -1)
    .map((p) => roundHalfToEven(betaQuantile(p, betaShape(options)) * (noise.timesteps - 1)));
  return [...[...new Set(timesteps)].map((t) => noise.sigmas[t]!), 0];
};

/** diffusers' spacing "leading" of Euler, Heun and LMS, with the offset of 1 that Stable Diffusion's files ask for. */
export const leading: Schedule = (noise, steps) =>
  wholeTimesteps(noise, steps, (i) => (steps - 1 - i) * Math.floor(noise.timesteps / steps) + 1);

/** The same of its multistep solvers, which leave out the timestep below. */
export const leadingMultistep: Schedule = (noise, steps) =>
  wholeTimesteps(noise, steps, (i) => (steps - i) * Math.floor(noise.timesteps / (steps + 1)) + 1);

/** diffusers' spacing "trailing" (Lin et al. 2024, table 2). */
export const trailing: Schedule = (noise, steps) => [...trailingTimesteps(noise, steps).map((t) => noise.sigmas[t]!), 0];

/** diffusers' spacing "linspace" of its multistep solvers: whole timesteps from the last one down, timestep 0 left out. */
export const wholeUniform: Schedule = (noise, steps) =>
  wholeTimesteps(noise, steps, (i) => roundHalfToEven(((steps - i) * (noise.timesteps - 1)) / steps));

/** Sabour et al. 2024: levels optimised for SD 1.5 in ten steps, interpolated evenly in log sigma for other numbers of steps. */
export const alignYourSteps = optimisedLevels([14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]);

/** The same for SDXL. */
export const alignYourStepsXl = optimisedLevels([14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029]);

/** The levels as ComfyUI has them, with more digits and ending in 0. */
export const alignYourStepsComfy = endingInZero(
  optimisedLevels([
    14.6146412293, 6.4745760956, 3.8636745985, 2.694615152, 1.8841921177, 1.3943805092, 0.9642583904, 0.6523686016, 0.3977456272,
    0.1515232662, 0.0291671582,
  ]),
);

export const alignYourStepsXlComfy = endingInZero(
  optimisedLevels([
    14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289, 0.3798540708, 0.2332364134,
    0.1114188177, 0.0291671582,
  ]),
);

/** Chen et al. 2024 (GITS, coefficient 1.2): levels for up to 20 steps, beyond that interpolated evenly in log sigma; then 0 (ComfyUI). */
export const gits: Schedule = (noise, steps) => {
  const levels = steps === 1 ? [noise.sigmaMax] : (gitsLevels[steps - 2] ?? interpolated(gitsLevels.at(-1)!, steps + 1));
  return [...levels.slice(0, steps), 0];
};

function optimisedLevels(levels: readonly number[]): Schedule {
  // A single step would sit at the smallest level in the original; it starts from the largest here, as from pure noise it must.
  return (_, steps) => [...interpolated(levels, steps), 0];
}

/** One more level than asked for, the last of them 0. */
function endingInZero(schedule: Schedule): Schedule {
  return (noise, steps) => [...schedule(noise, steps + 1).slice(0, steps), 0];
}

/** `count` values from the first level to the last, linear in the logarithm between neighbours. */
function interpolated(levels: readonly number[], count: number): number[] {
  const last = levels.length - 1;
  return linspace(0, last, count).map((position) => {
    const index = Math.min(Math.floor(position), last - 1);
    const share = position - index;
    return Math.exp((1 - share) * Math.log(levels[index]!) + share * Math.log(levels[index + 1]!));
  });
}

function arctanSigmas(noise: NoiseSchedule, count: number): number[] {
  return linspace(Math.atan(noise.sigmaMax), Math.atan(noise.sigmaMin), count).map(Math.tan);
}

/** The table's sigmas at whole timesteps, held inside it, and 0. */
function wholeTimesteps(noise: NoiseSchedule, steps: number, timestep: (step: number) => number): number[] {
  return [...Array.from({ length: steps }, (_, i) => noise.sigmas[Math.min(timestep(i), noise.timesteps - 1)]!), 0];
}

/** A1111's and ComfyUI's default, the paper's choice. */
export const defaultBetaShape = 0.6;

function betaShape({ betaAlpha = defaultBetaShape, betaBeta = defaultBetaShape }: ScheduleOptions = {}): BetaShape {
  return { alpha: betaAlpha, beta: betaBeta };
}

function limits(noise: NoiseSchedule, { sigmaMin = noise.sigmaMin, sigmaMax = noise.sigmaMax }: ScheduleOptions = {}) {
  return { sigmaMin, sigmaMax };
}
