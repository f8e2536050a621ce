/**
 * @file Sigma schedules: which noise levels a sampler visits. Each gives falling sigmas that end in 0 (`klOptimal`: in the smallest
 * sigma), one more than there are steps (`ddim` may give a few more). `noise` is the model's training schedule.
 */

import { linspace, type NoiseSchedule } from "./noise-schedule.ts";
import { symmetricBetaQuantile } from "./symmetric-beta.ts";

export type Schedule = (noise: NoiseSchedule, steps: number) => number[];

/** Even in timestep, from the last to the first (the k-diffusion "discrete" schedule; A1111: Uniform). */
export const discrete: Schedule = (noise, steps) => [
  ...linspace(noise.timesteps - 1, 0, steps).map((t) => noise.timestepToSigma(t)),
  0,
];

/** Even in sigma^(1/rho), rho = 7 (Karras et al. 2022, eq. 5). */
export const karras: Schedule = (noise, steps) => {
  const rho = 7;
  return [...linspace(noise.sigmaMax ** (1 / rho), noise.sigmaMin ** (1 / rho), steps).map((root) => root ** rho), 0];
};

/** Even in log sigma. */
export const exponential: Schedule = (noise, steps) => [
  ...linspace(Math.log(noise.sigmaMax), Math.log(noise.sigmaMin), steps).map(Math.exp),
  0,
];

/** Even in timestep, but the last interval ends at the first timestep, which is left out (Stability-AI/generative-models). */
export const sgmUniform: Schedule = (noise, steps) => [
  ...linspace(noise.timesteps - 1, 0, steps + 1)
    .slice(0, -1)
    .map((t) => noise.timestepToSigma(t)),
  0,
];

/** Every (T/steps)-th training sigma, counted from the largest (ComfyUI). */
export const simple: Schedule = (noise, steps) => [
  ...Array.from({ length: steps }, (_, i) => noise.sigmas[noise.timesteps - 1 - Math.trunc((i * noise.timesteps) / steps)]!),
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
export const klOptimal: Schedule = (noise, steps) =>
  linspace(Math.atan(noise.sigmaMax), Math.atan(noise.sigmaMin), steps + 1).map(Math.tan);

/** Quantiles of Beta(0.6, 0.6), denser at both ends, stretched over the range of sigma (Lee et al. 2024; as A1111 has it). */
export const beta: Schedule = (noise, steps) => [
  ...linspace(1, 0, steps).map((p) => noise.sigmaMin + symmetricBetaQuantile(p, 0.6) * (noise.sigmaMax - noise.sigmaMin)),
  0,
];

/** Sabour et al. 2024: levels optimised for SD 1.5 in ten steps, interpolated evenly in log sigma for other numbers of steps. */
export const alignYourSteps = optimisedLevels([14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]);

/** The same for SDXL. */
export const alignYourStepsXl = optimisedLevels([14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029]);

function optimisedLevels(levels: readonly number[]): Schedule {
  const last = levels.length - 1;
  const interpolate = (position: number) => {
    const index = Math.min(Math.floor(position), last - 1);
    const share = position - index;
    return Math.exp((1 - share) * Math.log(levels[index]!) + share * Math.log(levels[index + 1]!));
  };
  // A single step would sit at the smallest level in the original; it starts from the largest here, as from pure noise it must.
  return (_, steps) => [...linspace(0, last, steps).map(interpolate), 0];
}
