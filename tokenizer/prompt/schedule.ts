/** @file What a prompt says at each step: prompt editing and alternation carried out. Results as of AUTOMATIC1111's web UI 1.10, modules/prompt_parser.py. */
import { type Construct, EditedPrompt } from "./schedule-text.ts";

/** The text in force up to and with step `end`. */
export interface ScheduleEntry {
  readonly end: number;
  readonly text: string;
}

export interface ScheduleOptions {
  /** Steps of the hires pass: the schedule is that pass's own, after `steps` of the first. */
  readonly hiresSteps?: number | undefined;
  /** The web UI's rule before 1.6: a number below 1 is a share of the steps, dot or not. */
  readonly oldRule?: boolean | undefined;
}

/**
 * The texts of a prompt over `steps` model calls (twice the steps for samplers of second order), in order of their ends; the last end is the
 * number of steps. A prompt that breaks the grammar is one text. Edits at step 0 or before have happened from the start.
 * @throws RangeError unless the steps are whole numbers of at least 1.
 */
export function promptSchedule(prompt: string, steps: number, options: ScheduleOptions = {}): ScheduleEntry[] {
  return scheduleOf(prompt, EditedPrompt.parse(prompt), steps, options);
}

/** The same for a prompt that has been parsed. @throws RangeError as `promptSchedule` */
export function scheduleOf(
  prompt: string,
  edited: EditedPrompt | undefined,
  steps: number,
  { hiresSteps, oldRule = false }: ScheduleOptions = {},
): ScheduleEntry[] {
  checkSteps("steps", steps);
  if (hiresSteps !== undefined) checkSteps("hiresSteps", hiresSteps);
  const hires = hiresSteps !== undefined && !oldRule;
  const last = hires ? hiresSteps : steps;
  if (!edited) return [{ end: last, text: prompt }];
  const timing = (when: string): number => {
    const value = Number(when);
    if (oldRule) return Math.trunc(value < 1 ? value * last : value);
    if (when.includes(".")) return Math.trunc((value - (hires ? 1 : 0)) * last);
    return Math.trunc(value - (hires ? steps : 0));
  };
  const { constructs } = edited;
  /** The last steps before the edits; 0 in the place of an alternation. */
  const edits = constructs.map(({ when }) => (when === undefined ? 0 : Math.min(last, timing(when))));
  const period = periodOf(constructs, last);
  const changes = new Set(edits.filter((step) => step >= 1));
  const every = period > 1 ? Array.from({ length: last }, (_, index) => index + 1) : [];
  const ends = [...new Set([...changes, ...every, last])].sort((one, other) => one - other);
  const texts = new Map<string, string>();
  let passed = 0;
  return ends.map((end) => {
    // Alternations come round, so most steps repeat an earlier text.
    const state = `${passed} ${(end - 1) % period}`;
    const text = texts.get(state) ?? edited.textAt(end, edits);
    texts.set(state, text);
    if (changes.has(end)) passed++;
    return { end, text };
  });
}

/** The entry for a model call, counted from 0. As in the web UI an entry holds up to and with the call of its end's number, one call more than said. */
export function entryAt<Entry extends { readonly end: number }>(schedule: readonly Entry[], call: number): Entry {
  return schedule.find(({ end }) => call <= end) ?? schedule[0]!;
}

function checkSteps(name: string, steps: number): void {
  if (Number.isSafeInteger(steps) && steps >= 1) return;
  throw new RangeError(`promptSchedule: ${name} is ${steps}, but a schedule needs a whole number of at least 1`);
}

/** After how many steps all alternations are where they were; not above `last`. */
function periodOf(constructs: readonly Construct[], last: number): number {
  let period = 1;
  for (const { when, separators } of constructs) {
    const options = separators + 1;
    if (when === undefined && period % options !== 0) period = Math.min(last, leastCommonMultiple(period, options));
  }
  return period;
}

function leastCommonMultiple(one: number, other: number): number {
  let [divisor, rest] = [one, other];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (one / divisor) * other;
}
