/** @file What a prompt says at each step: prompt editing and alternation carried out. Results as of AUTOMATIC1111's web UI 1.10, modules/prompt_parser.py. */
import { type Alternation, type Edit, parseSchedule, type ScheduleTree } from "./schedule-tree.ts";

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

/** When an edit happens, before it is cut to the steps. */
type Timing = (when: string) => number;

/**
 * The texts of a prompt over `steps` model calls (twice the steps for samplers of second order), in order of their ends; the last end is the
 * number of steps. A prompt that breaks the grammar is one text. Edits at step 0 or before have happened from the start.
 * @throws RangeError unless the steps are whole numbers of at least 1.
 */
export function promptSchedule(
  prompt: string,
  steps: number,
  { hiresSteps, oldRule = false }: ScheduleOptions = {},
): ScheduleEntry[] {
  checkSteps("steps", steps);
  if (hiresSteps !== undefined) checkSteps("hiresSteps", hiresSteps);
  const hires = hiresSteps !== undefined && !oldRule;
  const last = hires ? hiresSteps : steps;
  const tree = parseSchedule(prompt);
  if (!tree) return [{ end: last, text: prompt }];
  const timing: Timing = (when) => {
    const value = Number(when);
    if (oldRule) return Math.trunc(value < 1 ? value * last : value);
    if (when.includes(".")) return Math.trunc((value - (hires ? 1 : 0)) * last);
    return Math.trunc(value - (hires ? steps : 0));
  };
  const changes: Changes = { edits: new Set(), period: 1 };
  collectChanges(tree, last, timing, changes);
  const every = changes.period > 1 ? Array.from({ length: last }, (_, index) => index + 1) : [];
  const ends = [...new Set([...changes.edits, ...every, last])].sort((one, other) => one - other);
  const texts = new Map<string, string>();
  let passed = 0;
  return ends.map((end) => {
    // Alternations come round, so most steps repeat an earlier text.
    const state = `${passed} ${(end - 1) % changes.period}`;
    const text = texts.get(state) ?? textAt(tree, end, last, timing);
    texts.set(state, text);
    if (changes.edits.has(end)) passed++;
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

/** What makes a schedule: last steps before an edit, and after how many steps all alternations are where they were. */
interface Changes {
  readonly edits: Set<number>;
  period: number;
}

function collectChanges(tree: ScheduleTree, last: number, timing: Timing, changes: Changes): void {
  for (const item of tree) {
    if (typeof item === "string") continue;
    if (item.kind === "alternation") {
      changes.period = Math.min(last, leastCommonMultiple(changes.period, item.options.length));
      for (const option of item.options) collectChanges(option, last, timing, changes);
    } else {
      const end = Math.min(last, timing(item.when));
      if (end >= 1) changes.edits.add(end);
      collectChanges(item.from, last, timing, changes);
      collectChanges(item.to, last, timing, changes);
    }
  }
}

function leastCommonMultiple(one: number, other: number): number {
  let [divisor, rest] = [one, other];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (one / divisor) * other;
}

function textAt(tree: ScheduleTree, step: number, last: number, timing: Timing): string {
  let text = "";
  for (const item of tree) text += typeof item === "string" ? item : textAt(chosen(item, step, last, timing), step, last, timing);
  return text;
}

function chosen(item: Edit | Alternation, step: number, last: number, timing: Timing): ScheduleTree {
  if (item.kind === "alternation") return item.options[(step - 1) % item.options.length]!;
  return step <= Math.min(last, timing(item.when)) ? item.from : item.to;
}
