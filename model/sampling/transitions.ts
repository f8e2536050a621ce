/** @file Steps between training timesteps, for the samplers that run in VP space (DDPM, DDIM, PLMS). */

import type { NoiseSchedule } from "./noise-schedule.ts";

/** One step down: the model is asked at `timestep`, the latent goes from alphaBar to nextAlphaBar. */
export interface Transition {
  readonly timestep: number;
  readonly alphaBar: number;
  readonly nextAlphaBar: number;
}

export interface LeadingSpacing {
  /** Added to every timestep (diffusers' steps_offset). */
  readonly offset: number;
  /** What the last step arrives at, where its next timestep would be negative. */
  readonly finalAlphaBar: number;
}

/**
 * diffusers' "leading" spacing: timesteps i * floor(T/steps) + offset for i = steps-1..0, each going floor(T/steps) down.
 * With steps = T the first timestep would be T itself; it is held at T-1, which makes that step stand still.
 */
export function leadingTransitions(noise: NoiseSchedule, steps: number, { offset, finalAlphaBar }: LeadingSpacing): Transition[] {
  const stride = Math.floor(noise.timesteps / steps);
  const held = (timestep: number) => Math.min(timestep, noise.timesteps - 1);
  return Array.from({ length: steps }, (_, step) => {
    const timestep = (steps - 1 - step) * stride + offset;
    const next = timestep - stride;
    return {
      timestep: held(timestep),
      alphaBar: noise.alphaBar[held(timestep)]!,
      nextAlphaBar: next < 0 ? finalAlphaBar : noise.alphaBar[held(next)]!,
    };
  });
}
