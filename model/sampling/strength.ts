/** @file How much of a schedule runs when a run starts from a picture: the rules of limn, A1111, diffusers and ComfyUI. */
import type { Compatibility } from "./compatibility.ts";
import type { NoiseSchedule } from "./noise-schedule.ts";
import type { Run, Sampling } from "./sampler.ts";
import type { Transition } from "./transitions.ts";

/**
 * `scaled`: a strength of 0.75 runs three quarters of the steps asked for. `exact`: all of them, on a schedule of more (A1111's
 * "do exactly the amount of steps the slider specifies").
 */
export type StepRule = "scaled" | "exact";
export const stepRules: readonly StepRule[] = ["scaled", "exact"];

export interface Share {
  /** Steps of the schedule. */
  readonly steps: number;
  /** How many of its last steps run, in k-space and in VP space; no more than there are. */
  readonly sigmaSteps: number;
  readonly timestepSteps: number;
  /** In VP space noise is added as for this many steps before the first one that runs: the original's DDIM, and A1111's, begin one early. */
  readonly noisedBefore: number;
}

export interface ShareOptions {
  readonly steps: number;
  /** 0..1; undefined where there is no picture. */
  readonly strength?: number | undefined;
  readonly stepRule?: StepRule | undefined;
  readonly compat?: Compatibility | undefined;
}

/**
 * Undefined where the picture is not seen, as in txt2img. limn's own rule: strength 0 runs no step, strength 1 drops the picture,
 * between them A1111's, which runs int(strength steps) + 1 (where the sampler has timesteps of its own, diffusers' int(strength
 * steps), and no less than one).
 */
export function shareOf({ steps, strength, stepRule, compat }: ShareOptions, { timesteps }: NoiseSchedule): Share | undefined {
  const own = compat === undefined;
  const share = (count: number, run: number, timestepRun = run): Share => {
    return { steps: count, sigmaSteps: run, timestepSteps: timestepRun, noisedBefore: 0 };
  };
  if (strength === undefined || (own && strength === 1)) return undefined;
  if (own && strength === 0) return share(steps, 0);
  if (compat === "diffusers") return share(steps, Math.min(Math.trunc(steps * strength), steps));
  if (compat === "comfy") return strength === 0 ? share(steps, 0) : share(longer(steps, strength, timesteps), steps);
  const held = Math.min(strength, 0.999);
  const isExact = stepRule === "exact" && strength > 0;
  const [length, count] = isExact ? [longer(steps, held, timesteps), steps - 1] : [steps, Math.trunc(held * steps)];
  // A1111 never asks at the last timestep of those that it takes.
  if (compat === "a1111") return { ...share(length, count + 1, Math.max(count - 1, 0)), noisedBefore: 1 };
  if (compat === "compvis") return { ...share(length, count + 1, isExact ? steps : count), noisedBefore: 1 };
  return share(length, count + 1, isExact ? steps : Math.max(count, 1));
}

/** A schedule of which `steps` are the share `strength`, as far as there are timesteps. */
function longer(steps: number, strength: number, timesteps: number): number {
  return Math.min(Math.trunc(steps / strength), timesteps);
}

/** A plan without steps: the latent comes back as it is. */
export const nothingToRun = {
  sigmas: [0],
  yields: 0,
  initialNoiseScale: 0,
  initialLatentScale: 1,
  brownian: undefined,
  // biome-ignore lint/correctness/useYield: it has no steps
  async *run({ x }: Pick<Run<never>, "x">): Sampling {
    return x;
  },
};

/** A latent with the noise of the first of these transitions that runs (Ho et al. 2020, eq. 4), or of one before it. */
export function vpStart(transitions: readonly Transition[], { timestepSteps, noisedBefore }: Share) {
  const { alphaBar } = transitions[Math.max(transitions.length - timestepSteps - noisedBefore, 0)]!;
  return { initialNoiseScale: Math.sqrt(1 - alphaBar), initialLatentScale: Math.sqrt(alphaBar) };
}
