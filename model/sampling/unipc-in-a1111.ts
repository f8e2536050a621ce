/** @file The noise levels of A1111's UniPC, which, unlike its other samplers in k-space, has timesteps of its own. */
import { alphaBarToSigma, linspace, type NoiseSchedule } from "./noise-schedule.ts";
import type { Schedule } from "./schedules.ts";
import type { Share } from "./strength.ts";
import { compvisTransitions } from "./transitions.ts";

/**
 * As many steps as DDIM's list has timesteps (31 for 30: 1000 is no multiple of it), even in time from the last timestep to timestep 0.
 * Source: the A1111 web UI, modules/sd_samplers_timesteps_impl.py (unipc), modules/models/diffusion/uni_pc/uni_pc.py.
 */
export const unipcSigmas: Schedule = (noise, steps) =>
  evenInTime(noise, noise.timesteps - 1, compvisTransitions(noise, steps, { skipLast: false }).length);

function evenInTime(noise: NoiseSchedule, first: number, steps: number): number[] {
  return linspace(first, 0, steps + 1).map((timestep) => noise.timestepToSigmaByAlpha(timestep));
}

/** A run in k-space from a picture's latent. */
export interface Beginning {
  readonly sigmas: readonly number[];
  /** What unit noise and the latent are multiplied by. */
  readonly initialNoiseScale: number;
  readonly initialLatentScale: number;
}

/**
 * With t_enc = int(strength steps) as for DDIM: t_enc steps even in time from the timestep t_enc - 1 of DDIM's list (its lowest is
 * number 0) to timestep 0, from a latent that has the noise of timestep t_enc. Undefined where t_enc is 0. Source: the A1111 web UI,
 * modules/sd_samplers_timesteps.py (sample_img2img), sd_samplers_timesteps_impl.py (unipc).
 */
export function unipcFromPicture(noise: NoiseSchedule, { steps, sigmaSteps }: Share): Beginning | undefined {
  const count = sigmaSteps - 1;
  const all = compvisTransitions(noise, steps, { skipLast: false });
  const [above, first] = all.slice(-count - 1);
  if (count === 0 || above === undefined || first === undefined) return undefined;
  const sigmas = evenInTime(noise, first.timestep, count);
  // From VP space, where the noise is added, to k-space at the first sigma.
  const scale = Math.sqrt(sigmas[0]! ** 2 + 1) * Math.sqrt(above.alphaBar);
  return { sigmas, initialNoiseScale: scale * alphaBarToSigma(above.alphaBar), initialLatentScale: scale };
}
