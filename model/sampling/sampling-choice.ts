/** @file From names to a sampler and a schedule. */
import type { SamplingNames } from "./plan-options.ts";
import { type SamplerEntry, samplers } from "./sampler-table.ts";
import {
  findByName,
  normalName,
  resolveSchedule,
  type ScheduleEntry,
  schedules as scheduleTable,
  unknownName,
} from "./schedule-table.ts";

export interface SamplingChoice {
  readonly sampler: SamplerEntry;
  /** Missing where the sampler has timesteps of its own. */
  readonly schedule: ScheduleEntry | undefined;
  /** The schedule was asked for, not implied. */
  readonly scheduleNamed: boolean;
  /** A schedule was asked for, but the sampler takes none: worth a warning. */
  readonly scheduleIgnored: boolean;
}

/** @throws UsageError UNKNOWN_SAMPLER or UNKNOWN_SCHEDULE, with the nearest name */
export function resolveSampling({
  sampler: samplerName = "dpmpp_2m",
  schedule: scheduleName,
  compat,
}: SamplingNames & { readonly compat?: string | undefined }): SamplingChoice {
  const named = resolveSampler(samplerName);
  const { inComfy } = named.sampler;
  const inProgram = compat === "comfy" ? inComfy : undefined;
  const sampler = typeof inProgram === "string" ? resolveSampler(inProgram).sampler : (inProgram ?? named.sampler);
  const isAutomatic = scheduleName !== undefined && normalName(scheduleName) === automatic;
  const asked = isAutomatic ? undefined : scheduleName === undefined ? named.schedule : resolveSchedule(scheduleName);
  if (sampler.space === "timestep" || sampler.takesNoSchedule)
    return { sampler, schedule: undefined, scheduleNamed: false, scheduleIgnored: asked !== undefined };
  const implied = sampler.ownSigmas ? undefined : resolveSchedule(sampler.schedule);
  return { sampler, schedule: asked ?? implied, scheduleNamed: asked !== undefined, scheduleIgnored: false };
}

/** A1111's word for the schedule that a sampler's name alone implies. */
const automatic = "automatic";

/** A sampler, and the schedule if the name is a label that ends in one ("Automatic": none). @throws UsageError UNKNOWN_SAMPLER */
export function resolveSampler(name: string): { sampler: SamplerEntry; schedule: ScheduleEntry | undefined } {
  const whole = findByName(samplers, name);
  if (whole !== undefined) return { sampler: whole, schedule: undefined };
  const wanted = normalName(name);
  const own = wanted.endsWith(`_${automatic}`) ? findByName(samplers, wanted.slice(0, -automatic.length - 1)) : undefined;
  if (own !== undefined) return { sampler: own, schedule: undefined };
  for (const schedule of scheduleTable) {
    for (const ending of [schedule.name, ...schedule.aliases, normalName(schedule.label)].map((spelling) => `_${spelling}`)) {
      const sampler = wanted.endsWith(ending) ? findByName(samplers, wanted.slice(0, -ending.length)) : undefined;
      if (sampler !== undefined) return { sampler, schedule };
    }
  }
  throw unknownName("UNKNOWN_SAMPLER", "sampler", name, samplers);
}
