/** @file The tree of a prompt with edits `[from:to:when]` and alternations `[a|b]`. The grammar is that of AUTOMATIC1111's web UI 1.10, modules/prompt_parser.py. */
import { type Brackets, type Group, matchBrackets } from "./schedule-brackets.ts";
import { chooseGroups } from "./schedule-choice.ts";

/** A prompt with its edits and alternations in place; everything else, brackets of attention weights too, is text. */
export type ScheduleTree = readonly ScheduleItem[];
export type ScheduleItem = string | Edit | Alternation;

/** `[from:to:when]`: `from` up to a step, `to` after it. */
export interface Edit {
  readonly kind: "edit";
  readonly from: ScheduleTree;
  readonly to: ScheduleTree;
  /** As written: whether it has a dot tells a share of the steps from a step. */
  readonly when: string;
}

/** `[a|b|c]`: one a step, in turn. */
export interface Alternation {
  readonly kind: "alternation";
  readonly options: readonly ScheduleTree[];
}

/** The tree of a prompt, undefined where it breaks the grammar (see `matchBrackets`). Linear time. */
export function parseSchedule(prompt: string): ScheduleTree | undefined {
  const brackets = matchBrackets(prompt);
  if (!brackets) return undefined;
  return new TreeBuilder(prompt, constructsIn(chooseGroups(brackets), brackets)).items(0, prompt.length);
}

/** The edits and alternations that are chosen groups or in one, in order of their opening brackets. */
function constructsIn(chosen: readonly Group[], { groups, groupAt }: Brackets): Group[] {
  const constructs: Group[] = [];
  for (const { open, close } of chosen.toReversed()) {
    for (let at = open; at < close; at++) {
      const group = groups[groupAt[at]!];
      if (group?.open === at && group.kind !== "weight") constructs.push(group);
    }
  }
  return constructs;
}

class TreeBuilder {
  readonly #prompt: string;
  readonly #groups: readonly Group[];
  #next = 0;

  constructor(prompt: string, groups: readonly Group[]) {
    this.#prompt = prompt;
    this.#groups = groups;
  }

  /** Text and groups from one position to before another. */
  items(start: number, end: number): ScheduleItem[] {
    const items: ScheduleItem[] = [];
    let from = start;
    for (let group = this.#groups[this.#next]; group && group.open < end; group = this.#groups[this.#next]) {
      this.#next++;
      if (group.open > from) items.push(this.#prompt.slice(from, group.open));
      items.push(this.#item(group));
      from = group.close + 1;
    }
    if (end > from) items.push(this.#prompt.slice(from, end));
    return items;
  }

  #item({ kind, open, close, separators, when }: Group): Edit | Alternation {
    const ends = kind === "edit" ? separators : [...separators, close];
    let start = open + 1;
    const parts: ScheduleTree[] = [];
    for (const end of ends) {
      parts.push(this.items(start, end));
      start = end + 1;
    }
    if (kind === "alternation") return { kind, options: parts };
    return { kind: "edit", from: parts.length > 1 ? parts[0]! : [], to: parts.at(-1)!, when };
  }
}
