/** @file The sigma schedules by name, with the labels of the A1111 web UI. */

import { UsageError } from "../../engine/errors.ts";
import { nearestName } from "./nearest-name.ts";
import * as schedule from "./schedules.ts";

export interface ScheduleEntry {
  readonly name: string;
  readonly label: string;
  readonly aliases: readonly string[];
  readonly sigmas: schedule.Schedule;
}

export const schedules: readonly ScheduleEntry[] = [
  { name: "discrete", label: "Uniform", aliases: ["uniform", "normal"], sigmas: schedule.discrete },
  { name: "karras", label: "Karras", aliases: [], sigmas: schedule.karras },
  { name: "exponential", label: "Exponential", aliases: [], sigmas: schedule.exponential },
  { name: "sgm_uniform", label: "SGM Uniform", aliases: [], sigmas: schedule.sgmUniform },
  { name: "simple", label: "Simple", aliases: [], sigmas: schedule.simple },
  // A1111 runs it with rho = 1, which makes it `exponential`.
  { name: "polyexponential", label: "Polyexponential", aliases: [], sigmas: schedule.exponential },
  { name: "kl_optimal", label: "KL Optimal", aliases: [], sigmas: schedule.klOptimal },
  { name: "beta", label: "Beta", aliases: [], sigmas: schedule.beta },
  { name: "align_your_steps", label: "Align Your Steps", aliases: ["ays"], sigmas: schedule.alignYourSteps },
  { name: "align_your_steps_sdxl", label: "Align Your Steps SDXL", aliases: ["ays_sdxl"], sigmas: schedule.alignYourStepsXl },
  { name: "ddim", label: "DDIM", aliases: ["ddim_uniform"], sigmas: schedule.ddim },
];

/** Labels and names in one spelling: "SGM Uniform" -> "sgm_uniform", "DPM++ 2M" -> "dpmpp_2m". */
export function normalName(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replaceAll("++", "pp")
    .replaceAll(/[\s_-]+/g, "_");
}

/** The entry of a table whose name, alias or label `name` is. */
export function findByName<Entry extends Omit<ScheduleEntry, "sigmas">>(
  entries: readonly Entry[],
  name: string,
): Entry | undefined {
  const wanted = normalName(name);
  return entries.find((entry) => [entry.name, ...entry.aliases, normalName(entry.label)].includes(wanted));
}

/** @throws UsageError UNKNOWN_SCHEDULE, with the nearest name */
export function resolveSchedule(name: string): ScheduleEntry {
  const entry = findByName(schedules, name);
  if (entry === undefined) throw unknownName("UNKNOWN_SCHEDULE", "schedule", name, schedules);
  return entry;
}

/** The error for a name that no entry has. */
export function unknownName(
  code: string,
  kind: string,
  name: string,
  entries: readonly Omit<ScheduleEntry, "sigmas">[],
): UsageError {
  const names = entries.map((entry) => entry.name);
  const nearest = nearestName(normalName(name), [...names, ...entries.flatMap(({ aliases }) => aliases)]);
  const hint =
    nearest === undefined ? `choose one of ${names.join(", ")}` : `did you mean ${nearest}? There are ${names.join(", ")}`;
  return new UsageError(code, `${kind}: there is none called ${JSON.stringify(name)}`, {
    hint,
    context: { [kind]: name, nearest, names },
  });
}
