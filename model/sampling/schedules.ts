/**
 * @file Sigma schedules: which noise levels a sampler visits. Each gives falling sigmas that end in 0, one more than
 * there are steps (`ddim` may give a few more). `noise` is the model's training schedule.
 */

import { linspace, type NoiseSchedule } from "./noise-schedule.ts";

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
