/** @file Where A1111's UniPC begins in a picture: unlike its other samplers, on timesteps of its own. */
import { alphaBarToSigma, linspace, type NoiseSchedule } from "./noise-schedule.ts";
import type { Share } from "./strength.ts";
import { compvisTransitions } from "./transitions.ts";

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
  const sigmas = linspace(first.timestep, 0, count + 1).map((timestep) => noise.timestepToSigma(timestep));
  // From VP space, where the noise is added, to k-space at the first sigma.
  const scale = Math.sqrt(sigmas[0]! ** 2 + 1) * Math.sqrt(above.alphaBar);
  return { sigmas, initialNoiseScale: scale * alphaBarToSigma(above.alphaBar), initialLatentScale: scale };
}
