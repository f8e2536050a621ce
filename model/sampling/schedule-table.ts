/** @file The sigma schedules by name, with the labels of the A1111 web UI. */

import { UsageError } from "../../engine/errors.ts";
import type { Compatibility } from "./compatibility.ts";
import { nearestName } from "./nearest-name.ts";
import * as schedule from "./schedules.ts";

export interface ScheduleEntry {
  readonly name: string;
  readonly label: string;
  readonly aliases: readonly string[];
  readonly sigmas: schedule.Schedule;
  /** Where ComfyUI's of this name differs from A1111's. */
  readonly comfy?: schedule.Schedule;
  /** Where SDXL's differs from SD 1's, and the same in ComfyUI. */
  readonly sdxl?: schedule.Schedule;
  readonly sdxlComfy?: schedule.Schedule;
}

export const schedules: readonly ScheduleEntry[] = [
  { name: "discrete", label: "Uniform", aliases: ["uniform", "normal"], sigmas: schedule.discrete },
  { name: "karras", label: "Karras", aliases: ["ka"], sigmas: schedule.karras },
  { name: "exponential", label: "Exponential", aliases: [], sigmas: schedule.exponential },
  { name: "polyexponential", label: "Polyexponential", aliases: [], sigmas: schedule.polyexponential },
  { name: "sgm_uniform", label: "SGM Uniform", aliases: [], sigmas: schedule.sgmUniform },
  { name: "simple", label: "Simple", aliases: [], sigmas: schedule.simple },
  { name: "kl_optimal", label: "KL Optimal", aliases: [], sigmas: schedule.klOptimal, comfy: schedule.klOptimalComfy },
  { name: "beta", label: "Beta", aliases: [], sigmas: schedule.beta, comfy: schedule.betaComfy },
  {
    name: "align_your_steps",
    label: "Align Your Steps",
    aliases: ["ays"],
    sigmas: schedule.alignYourSteps,
    comfy: schedule.alignYourStepsComfy,
    sdxl: schedule.alignYourStepsXl,
    sdxlComfy: schedule.alignYourStepsXlComfy,
  },
  {
    name: "align_your_steps_sdxl",
    label: "Align Your Steps SDXL",
    aliases: ["ays_sdxl"],
    sigmas: schedule.alignYourStepsXl,
    comfy: schedule.alignYourStepsXlComfy,
  },
  { name: "ddim", label: "DDIM", aliases: ["ddim_uniform"], sigmas: schedule.ddim },
  { name: "trailing", label: "Trailing", aliases: [], sigmas: schedule.trailing },
  { name: "gits", label: "GITS", aliases: [], sigmas: schedule.gits },
];

/** The schedule of this name for a program and a family. */
export function variantOf(
  entry: ScheduleEntry,
  { compat, sdxl }: { readonly compat?: Compatibility | undefined; readonly sdxl?: boolean | undefined },
): schedule.Schedule {
  const family = sdxl && entry.sdxl !== undefined ? { sigmas: entry.sdxl, comfy: entry.sdxlComfy } : entry;
  return (compat === "comfy" ? family.comfy : undefined) ?? family.sigmas;
}

/** Labels and names in one spelling: "SGM Uniform" -> "sgm_uniform", "DPM++ 2M" -> "dpmpp_2m". */
export function normalName(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replaceAll("++", "pp")
    .replaceAll(/[\s_-]+/g, "_");
}

/** The entry of a table whose name, alias or label `name` is; k-diffusion's samplers had "k_" before theirs in earlier programs. */
export function findByName<Entry extends Pick<ScheduleEntry, "name" | "label" | "aliases">>(
  entries: readonly Entry[],
  name: string,
): Entry | undefined {
  const wanted = normalName(name).replace(/^k_/, "");
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
  entries: readonly Pick<ScheduleEntry, "name" | "label" | "aliases">[],
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
