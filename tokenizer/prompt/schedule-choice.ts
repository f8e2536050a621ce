/**
 * @file Which groups of brackets are read as groups. Outside of all groups a bracket may be text as well, so the grammar has several readings
 * of `[a:b:3](]`; the web UI takes that of its parser (lark's Earley parser, "resolve"), which is not always the one with most groups:
 * where a text ends in a run of brackets and colons that are no group, the run may take in the closing bracket of the group before it,
 * which then is text. What decides is the order in which that parser completes runs, followed here with two numbers; checked
 * against it on nine thousand random prompts.
 */
import { type Brackets, groupKind } from "./schedule-brackets.ts";

/** The opening brackets, in order, of the edits and alternations that are read as such: groups that are in no other one, and what is in these. Linear time. */
export function chooseConstructs(brackets: Brackets): number[] {
  const { kinds, opening, marks } = brackets;
  let runs: Int32Array | undefined;
  const constructs: number[] = [];
  // From the end of the prompt to its beginning; never between the first bar and the end of an alternation.
  for (let end = marks.length; end > 0; ) {
    const open = opening[end - 1]!;
    if (open >= 0) {
      while (--end >= open) if (kinds[end]! > groupKind.weight) constructs.push(end);
      end = open;
    } else if (marks[end - 1]) {
      runs ??= runStarts(brackets);
      end = runs[end]!;
    } else end--;
  }
  return constructs.reverse();
}

/** [length + 1] 1 where the text before a position is a prompt by itself: everywhere but between the first bar and the end of an alternation. */
function possibleEnds({ kinds, next, opening, marks: { length } }: Brackets): Uint8Array {
  const change = new Int8Array(length + 1);
  for (let close = 0; close < length; close++) {
    const open = opening[close]!;
    if (open < 0 || kinds[open] !== groupKind.alternation) continue;
    change[next[open]! + 1] = 1;
    change[close + 1]!--;
  }
  const possible = new Uint8Array(length + 1);
  let alternations = 0;
  for (let at = 0; at <= length; at++) {
    alternations += change[at]!;
    possible[at] = alternations === 0 ? 1 : 0;
  }
  return possible;
}

/**
 * [length + 1] For the end of a run of marks, the start of the run that the parser prefers. It holds the runs under way in a list that turns
 * round at every mark; a new run goes second, or first if a group's end comes before the runs, so only first and last ever matter.
 */
function runStarts(brackets: Brackets): Int32Array {
  const { opening, marks } = brackets;
  const possible = possibleEnds(brackets);
  const starts = new Int32Array(marks.length + 1).fill(-1);
  let first = -1;
  let last = -1;
  /** Where the end of a group stands that the mark closes. */
  let closer: "none" | "first" | "last" = "none";
  for (let at = 0; at < marks.length; at++) {
    if (!marks[at]) continue;
    if (at === 0 || !marks[at - 1]) {
      first = possible[at] ? at : -1;
      last = first;
      closer = opening[at]! >= 0 ? "first" : "none";
    }
    const end = at + 1;
    const fresh = possible[end] ? end : -1;
    starts[end] = last;
    const inFront: boolean = closer === "last" || last === -1;
    closer = opening[end]! < 0 ? "none" : inFront || closer === "none" ? "first" : "last";
    if (last === -1) {
      first = fresh;
      last = fresh;
    } else if (fresh !== -1 && inFront) {
      last = first;
      first = fresh;
    } else {
      const before = first;
      first = last;
      last = before === last && fresh !== -1 ? fresh : before;
    }
  }
  return starts;
}
