/** @file From what a user asks for (names, steps, eta) to a run: which sampler, on which noise levels. */

import { UsageError } from "../../engine/errors.ts";
import type { NoiseSchedule } from "./noise-schedule.ts";
import type { Run, Sampling } from "./sampler.ts";
import { type SamplerEntry, samplers } from "./sampler-table.ts";
import { findByName, normalName, resolveSchedule, type ScheduleEntry, schedules, unknownName } from "./schedule-table.ts";

export interface SamplingNames {
  /** A sampler's name, alias or A1111 label, which may end in a schedule's: "euler_a", "DPM++ 2M Karras". Default dpmpp_2m. */
  readonly sampler?: string | undefined;
  /** A schedule's name, alias or A1111 label; goes before one in the sampler's label. Default: what the sampler implies. */
  readonly schedule?: string | undefined;
}

export interface SamplingChoice {
  readonly sampler: SamplerEntry;
  /** Missing where the sampler has timesteps of its own. */
  readonly schedule: ScheduleEntry | undefined;
  /** A schedule was asked for, but the sampler takes none: worth a warning. */
  readonly scheduleIgnored: boolean;
}

/** @throws UsageError UNKNOWN_SAMPLER or UNKNOWN_SCHEDULE, with the nearest name */
export function resolveSampling({ sampler: samplerName = "dpmpp_2m", schedule: scheduleName }: SamplingNames): SamplingChoice {
  const named = resolveSampler(samplerName);
  const { sampler } = named;
  const asked = scheduleName === undefined ? named.schedule : resolveSchedule(scheduleName);
  if (sampler.space === "timestep") return { sampler, schedule: undefined, scheduleIgnored: asked !== undefined };
  return { sampler, schedule: asked ?? resolveSchedule(sampler.schedule), scheduleIgnored: false };
}

/** A sampler, and the schedule if the name is a label that ends in one. @throws UsageError UNKNOWN_SAMPLER */
export function resolveSampler(name: string): { sampler: SamplerEntry; schedule: ScheduleEntry | undefined } {
  const whole = findByName(samplers, name);
  if (whole !== undefined) return { sampler: whole, schedule: undefined };
  const wanted = normalName(name);
  for (const schedule of schedules) {
    for (const ending of [schedule.name, ...schedule.aliases, normalName(schedule.label)].map((spelling) => `_${spelling}`)) {
      const sampler = wanted.endsWith(ending) ? findByName(samplers, wanted.slice(0, -ending.length)) : undefined;
      if (sampler !== undefined) return { sampler, schedule };
    }
  }
  throw unknownName("UNKNOWN_SAMPLER", "sampler", name, samplers);
}

export interface SamplingPlan {
  readonly choice: SamplingChoice;
  /** How many latents the run yields (plms: one more than there are steps; the schedule ddim may add some). */
  readonly yields: number;
  /** txt2img starts at unit noise times this: the largest sigma in k-space, 1 in VP space. */
  readonly initialNoiseScale: number;
  /** Starts the run; it owns x. */
  run(parts: Omit<Run<"denoise" | "eps">, "eta">): Sampling;
}

export interface PlanOptions extends SamplingNames {
  readonly steps: number;
  /** 0..1; default: the sampler's own. */
  readonly eta?: number | undefined;
}

/** @throws UsageError INVALID_STEPS, INVALID_ETA, UNKNOWN_SAMPLER, UNKNOWN_SCHEDULE */
export function planSampling(noise: NoiseSchedule, { steps, eta, ...names }: PlanOptions): SamplingPlan {
  if (!Number.isInteger(steps) || steps < 1 || steps > noise.timesteps) {
    throw new UsageError("INVALID_STEPS", `steps: ${steps} is not a whole number from 1 to ${noise.timesteps}`, {
      hint: "20 to 50 is usual",
      context: { steps },
    });
  }
  if (eta !== undefined && !(eta >= 0 && eta <= 1)) {
    throw new UsageError("INVALID_ETA", `eta: ${eta} is not within 0 and 1`, {
      hint: "0 adds no noise, 1 as much as DDPM",
      context: { eta },
    });
  }
  const choice = resolveSampling(names);
  const { sampler, schedule } = choice;
  const share = eta ?? sampler.eta;
  if (sampler.space === "timestep") {
    const transitions = sampler.transitions(noise, steps);
    const yields = transitions.length + (sampler.name === "plms" && transitions.length > 1 ? 1 : 0);
    return { choice, yields, initialNoiseScale: 1, run: (parts) => sampler.sample({ ...parts, transitions, eta: share }) };
  }
  const sigmas = (schedule ?? resolveSchedule(sampler.schedule)).sigmas(noise, steps);
  return {
    choice,
    yields: sigmas.length - 1,
    initialNoiseScale: sigmas[0]!,
    run: (parts) => sampler.sample({ ...parts, sigmas, eta: share }),
  };
}
