/** @file Steps between training timesteps, for the samplers that run in VP space (DDPM, DDIM, PLMS, LCM, TCD). */

import { alphaBarToSigma, linspace, type NoiseSchedule, sigmaToAlphaBar } from "./noise-schedule.ts";
import type { NoiseLevel } from "./sampler.ts";

/** One step down: the model is asked at `timestep`, the latent goes from alphaBar to nextAlphaBar. */
export interface Transition extends NoiseLevel {
  readonly nextAlphaBar: number;
  /** Where the step goes before noise brings it back up to nextAlphaBar (TCD). */
  readonly belowAlphaBar?: number;
  /** Where the model may be asked at the end of the list's last step (PLMS of a single step). */
  readonly end?: NoiseLevel;
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
  const timesteps = Array.from({ length: steps }, (_, step) => (steps - 1 - step) * stride + offset);
  return stridden(noise, timesteps, stride, finalAlphaBar);
}

/**
 * diffusers' "trailing" spacing (Lin et al. 2024, table 2): from the last timestep down in even steps, rounded; each goes
 * floor(T/steps) down, the last one to a clean latent.
 */
export function trailingTransitions(noise: NoiseSchedule, steps: number): Transition[] {
  return stridden(noise, trailingTimesteps(noise, steps), Math.floor(noise.timesteps / steps), 1);
}

/** T-1 and below: round(T - i T/steps) - 1, halves to even; the stride is rounded as in numpy's arange, which can decide a half. */
export function trailingTimesteps({ timesteps }: NoiseSchedule, steps: number): number[] {
  const stride = timesteps - timesteps / steps - timesteps;
  return Array.from({ length: steps }, (_, i) => roundHalfToEven(timesteps + i * stride) - 1);
}

/** The nearest whole number; halves go to the even one, as in numpy. */
export function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/**
 * The original's spacing (CompVis, and A1111 after it): timesteps 1, 1 + stride, ..., where stride = floor(T/steps), while there are
 * any, so there may be more than `steps`. `skipLast` leaves out the evaluation at timestep 1, as A1111 does. Both ask at timestep 1 at the
 * very end if they must (modules/sd_samplers_timesteps_impl.py, ldm/models/diffusion/plms.py: t_next).
 */
export function compvisTransitions(
  noise: NoiseSchedule,
  steps: number,
  { skipLast }: { readonly skipLast: boolean },
): Transition[] {
  const stride = Math.floor(noise.timesteps / steps);
  const timesteps: number[] = [];
  for (let t = 0; t < noise.timesteps; t += stride) timesteps.unshift(Math.min(t + 1, noise.timesteps - 1));
  const alphaBars = [...timesteps.map((t) => noise.alphaBar[t]!), noise.alphaBar[0]!];
  const all = timesteps.map((timestep, i) => ({ timestep, alphaBar: alphaBars[i]!, nextAlphaBar: alphaBars[i + 1]! }));
  const transitions = skipLast && all.length > 1 ? all.slice(0, -1) : all;
  const { timestep, alphaBar } = all.at(-1)!;
  return [...transitions.slice(0, -1), { ...transitions.at(-1)!, end: { timestep, alphaBar } }];
}

/** Timesteps that consistency models are distilled on: every 20th of SD's 1000. */
const DISTILLED_STEPS = 50;

/**
 * diffusers' choice among the timesteps a consistency model was distilled on; the last step arrives at `finalAlphaBar`. Where eta is
 * given, each step goes below its target first (TCD's gamma).
 */
export function distilledTransitions(
  noise: NoiseSchedule,
  steps: number,
  { finalAlphaBar, eta }: { readonly finalAlphaBar: number; readonly eta?: number },
): Transition[] {
  const stride = Math.floor(noise.timesteps / DISTILLED_STEPS);
  const timesteps = Array.from(
    { length: steps },
    (_, i) => (DISTILLED_STEPS - Math.floor((i * DISTILLED_STEPS) / steps)) * stride - 1,
  );
  return timesteps.map((timestep, i) => {
    const next = timesteps[i + 1];
    const below = eta === undefined ? {} : { belowAlphaBar: noise.alphaBar[Math.floor((1 - eta) * (next ?? 0))]! };
    return {
      timestep,
      alphaBar: noise.alphaBar[timestep]!,
      nextAlphaBar: next === undefined ? finalAlphaBar : noise.alphaBar[next]!,
      ...below,
    };
  });
}

/**
 * A1111's LCM: sigmas even in (fractional) timestep over the distilled ones, the model told the nearest of these; the last step
 * arrives at a clean latent.
 */
export function a1111LcmTransitions(noise: NoiseSchedule, steps: number): Transition[] {
  const stride = Math.floor(noise.timesteps / DISTILLED_STEPS);
  const logs = Array.from({ length: DISTILLED_STEPS }, (_, i) => Math.log(noise.sigmas[(i + 1) * stride - 1]!));
  const levels = linspace(DISTILLED_STEPS - 1, 0, steps).map((position) => {
    const low = Math.floor(position);
    const log = logs[low]! + (position - low) * (logs[Math.ceil(position)]! - logs[low]!);
    const nearest = logs.reduce((best, value, i) => (Math.abs(value - log) < Math.abs(logs[best]! - log) ? i : best), 0);
    return { timestep: (nearest + 1) * stride - 1, alphaBar: sigmaToAlphaBar(Math.exp(log)) };
  });
  return levels.map((level, i) => ({ ...level, nextAlphaBar: levels[i + 1]?.alphaBar ?? 1 }));
}

/** The sigmas of a list of steps, with where the last one arrives. */
export function transitionSigmas(transitions: readonly Transition[]): number[] {
  return [
    ...transitions.map(({ alphaBar }) => alphaBarToSigma(alphaBar)),
    ...transitions.slice(-1).map(({ nextAlphaBar }) => alphaBarToSigma(nextAlphaBar)),
  ];
}

/** Each timestep to the one `stride` below it; timesteps above the table are held at its end. */
function stridden(noise: NoiseSchedule, timesteps: readonly number[], stride: number, finalAlphaBar: number): Transition[] {
  const held = (timestep: number) => Math.min(timestep, noise.timesteps - 1);
  return timesteps.map((timestep) => {
    const next = timestep - stride;
    return {
      timestep: held(timestep),
      alphaBar: noise.alphaBar[held(timestep)]!,
      nextAlphaBar: next < 0 ? finalAlphaBar : noise.alphaBar[held(next)]!,
    };
  });
}
