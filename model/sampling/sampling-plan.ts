/** @file From what a user asks for (names, steps, eta) to a run: which sampler, on which noise levels. */

import { UsageError } from "../../engine/errors.ts";
import { rulesOf } from "./compatibility.ts";
import type { NoiseSchedule } from "./noise-schedule.ts";
import { checkPlanOptions, type PlanOptions } from "./plan-options.ts";
import type { Denoiser, Run, Sampling } from "./sampler.ts";
import type { SigmaSamplerEntry, TimestepSamplerEntry } from "./sampler-table.ts";
import { resolveSampling, type SamplingChoice } from "./sampling-choice.ts";
import { resolveSchedule, variantOf } from "./schedule-table.ts";
import * as schedules from "./schedules.ts";
import { nothingToRun, type Share, shareOf, vpStart } from "./strength.ts";
import { transitionSigmas } from "./transitions.ts";
import type { Beginning } from "./unipc-in-a1111.ts";

export interface SamplingPlan {
  readonly choice: SamplingChoice;
  /** The noise levels, in k-space's sigmas. */
  readonly sigmas: readonly number[];
  /**
   * How many latents the run yields (plms: one more than there are steps; the schedule ddim may add some). `dpm_adaptive` finds out
   * itself, and this is what was asked for.
   */
  readonly yields: number;
  /** The run starts at unit noise times this (txt2img: the largest sigma in k-space, 1 in VP space) ... */
  readonly initialNoiseScale: number;
  /** ... plus the picture's latent times this: 0 where there is none. */
  readonly initialLatentScale: number;
  /** The sampler's noise must come from a Brownian path over these sigmas ({@link LatentNoise.between}). */
  readonly brownian: { readonly sigmaMin: number; readonly sigmaMax: number } | undefined;
  /** CFG++: the denoiser must know the negative prompt at any guidance. */
  readonly needsNegative: boolean;
  /** What the guidance is to be multiplied by: 1, but for CFG++ in A1111's DDIM. */
  readonly guidanceFactor: number;
  /** The denoiser is to tell the model whole timesteps. */
  readonly wholeTimesteps: boolean;
  /** Starts the run; it owns x. */
  run(parts: Omit<Run<keyof Denoiser>, "eta" | "noiseScale">): Sampling;
}

/** @throws UsageError those of checkPlanOptions, UNKNOWN_SAMPLER, UNKNOWN_SCHEDULE, SIGMAS_NOT_TAKEN, NO_SIGNAL */
export function planSampling(noise: NoiseSchedule, options: PlanOptions): SamplingPlan {
  checkPlanOptions(noise, options);
  const choice = resolveSampling(options);
  const { sampler } = choice;
  const common = {
    choice,
    needsNegative: sampler.cfgPlusPlus !== undefined,
    guidanceFactor: sampler.cfgPlusPlus?.guidanceFactor ?? 1,
    wholeTimesteps: rulesOf(options.compat).timesteps === "whole",
  };
  const share = shareOf(options, noise);
  const own =
    sampler.space === "timestep" ? vpPlan(noise, sampler, share, options) : kPlan(noise, sampler, choice, share, options);
  return { ...common, ...own };
}

type OwnPlan = Omit<SamplingPlan, "choice" | "needsNegative" | "guidanceFactor" | "wholeTimesteps">;

/** In VP space. */
function vpPlan(
  noise: NoiseSchedule,
  sampler: TimestepSamplerEntry,
  share: Share | undefined,
  { sigmas, steps, eta = sampler.eta, compat }: PlanOptions,
): OwnPlan {
  if (sigmas !== undefined) throw sigmasNotTaken(sampler.name);
  const all = sampler.transitions(noise, share?.steps ?? steps, { eta, compat });
  const asSigmas = sampler.sigmasInA1111 && compat === "a1111";
  const part = share && asSigmas ? { ...share, timestepSteps: share.sigmaSteps, noisedBefore: 0 } : share;
  if (part?.timestepSteps === 0) return nothingToRun;
  const transitions = part ? all.slice(-part.timestepSteps) : all;
  if (sampler.needsSignal && transitions[0]!.alphaBar === 0) throw noSignal(sampler.name, transitions[0]!.timestep);
  const unit = { initialNoiseScale: asSigmas ? Math.sqrt(1 - all[0]!.alphaBar) : 1, initialLatentScale: 0 };
  return {
    sigmas: transitionSigmas(transitions),
    yields: sampler.yields?.(transitions) ?? transitions.length,
    ...(part ? vpStart(all, part) : unit),
    brownian: undefined,
    run: (parts) => sampler.sample({ ...parts, transitions, eta }),
  };
}

/** In k-space. */
function kPlan(
  noise: NoiseSchedule,
  sampler: SigmaSamplerEntry,
  choice: SamplingChoice,
  share: Share | undefined,
  options: PlanOptions,
): OwnPlan {
  const { compat, eta = sampler.eta, noiseScale } = options;
  if (sampler.takesNoSchedule && options.sigmas && !(options.sigmas[1]! > 0)) throw noRange(sampler.name);
  if (share?.sigmaSteps === 0) return nothingToRun;
  const steps = share?.steps ?? options.steps;
  const all = options.sigmas ?? plannedSigmas(noise, sampler, choice, { ...options, steps });
  // Some schedules have more levels or fewer than were asked for: the step to begin with is counted from the first one, in ComfyUI from the last.
  const first = share && (compat === "comfy" ? -share.sigmaSteps - 1 : Math.max(steps - share.sigmaSteps, 0));
  const partOfAll = options.sigmas === undefined ? all.slice(first) : all;
  // The path goes over the whole schedule, also where a part of it runs; ComfyUI's over that part.
  const path = compat === "comfy" ? partOfAll : all;
  const isOwn = options.sigmas === undefined && !choice.scheduleNamed;
  const inA1111 = share && isOwn && compat === "a1111" ? sampler.fromPictureInA1111?.(noise, share) : undefined;
  const largest = partOfAll[0]!;
  const unitVariance = startsWithUnitVariance(noise, choice, { largest, hasPicture: share !== undefined, compat });
  const { sigmas, initialNoiseScale, initialLatentScale }: Beginning = inA1111 ?? {
    sigmas: partOfAll,
    initialNoiseScale: unitVariance ? Math.sqrt(largest ** 2 + 1) : largest,
    initialLatentScale: share ? 1 : 0,
  };
  const { churn: amount = 0, churnMin: from = 0, churnMax: to = Number.POSITIVE_INFINITY } = options;
  return {
    sigmas,
    yields: sampler.yields?.(sigmas) ?? sigmas.length - 1,
    initialNoiseScale,
    initialLatentScale,
    brownian: sampler.brownian ? { sigmaMin: path.findLast((sigma) => sigma > 0) ?? largest, sigmaMax: path[0]! } : undefined,
    run: (parts) => sampler.sample({ ...parts, sigmas, eta, noiseScale, churn: { amount, from, to } }),
  };
}

/** Whether a run in k-space begins as a VP latent does, at noise times sqrt(sigma^2 + 1). */
function startsWithUnitVariance(
  noise: NoiseSchedule,
  { sampler, schedule, scheduleNamed }: SamplingChoice,
  { largest, hasPicture, compat }: { largest: number; hasPicture: boolean; compat: PlanOptions["compat"] },
): boolean {
  const { unitVarianceStart } = rulesOf(compat);
  if (unitVarianceStart === "from-largest" && largest >= noise.sigmaMax * (1 - 1e-5)) return true;
  if (hasPicture || sampler.space === "timestep") return false;
  // diffusers: but for Euler and its kin where the spacing is "linspace" or "trailing".
  const fromTheEnd = scheduleNamed && !sampler.multistep && ["discrete", "trailing"].includes(schedule?.name ?? "");
  return sampler.unitVarianceStart === true || (unitVarianceStart === "all" && !fromTheEnd);
}

/** The sigmas of the schedule named, or of what the sampler implies. */
function plannedSigmas(
  noise: NoiseSchedule,
  sampler: SigmaSamplerEntry,
  { schedule: entry, scheduleNamed }: SamplingChoice,
  options: PlanOptions,
): number[] {
  const { compat, steps } = options;
  const schedule = scheduleNamed || compat !== "diffusers" ? entry && variantOf(entry, options) : diffusersSchedule(sampler);
  const ownSigmas = (compat === "a1111" ? sampler.ownSigmasInA1111 : undefined) ?? sampler.ownSigmas;
  const sigmas = schedule ?? ownSigmas ?? resolveSchedule(sampler.schedule).sigmas;
  const discarding = (options.discardPenultimate ?? discards(sampler, compat)) && steps < noise.timesteps;
  const levels = sigmas(noise, discarding ? steps + 1 : steps, options);
  const end = compat === "diffusers" && sampler.endsAtSmallestInDiffusers ? noise.sigmaMin : levels.at(-1)!;
  return [...levels.slice(0, discarding ? -2 : -1), end];
}

/** Stable Diffusion's configurations of diffusers' schedulers: spacing "leading". */
function diffusersSchedule(sampler: SigmaSamplerEntry): schedules.Schedule | undefined {
  if (sampler.takesNoSchedule) return undefined;
  return sampler.multistep ? schedules.leadingMultistep : schedules.leading;
}

/** Whether runs of this sampler usually leave out the sigma before the last. */
function discards({ discardsPenultimate = [] }: SigmaSamplerEntry, compat: PlanOptions["compat"] = "a1111"): boolean {
  return discardsPenultimate.some((program) => program === compat);
}

function sigmasNotTaken(sampler: string): UsageError {
  return new UsageError("SIGMAS_NOT_TAKEN", `sigmas: sampler ${sampler} has timesteps of its own`, {
    hint: "choose a sampler that runs on sigmas, such as euler or dpmpp_2m",
    context: { sampler },
  });
}

function noSignal(sampler: string, timestep: number): UsageError {
  return new UsageError(
    "NO_SIGNAL",
    `sampler ${sampler} can't begin at timestep ${timestep}: zero terminal SNR leaves no signal there`,
    {
      hint: "choose ddim or euler, or another number of steps, such as 20",
      context: { sampler, timestep },
    },
  );
}

function noRange(sampler: string): UsageError {
  return new UsageError("INVALID_SIGMAS", `sigmas: sampler ${sampler} needs two above 0, its ends, but there is one`, {
    hint: "give the largest and the smallest, such as 14.6,0.03",
    context: { sampler },
  });
}
