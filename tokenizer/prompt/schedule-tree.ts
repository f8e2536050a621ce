/**
 * @file Grammar of prompt editing `[from:to:when]` and alternation `[a|b]`: which brackets of a prompt are which. The grammar is that of
 * AUTOMATIC1111's web UI 1.10, modules/prompt_parser.py, which leaves it to an Earley parser; read in one pass here, as its only
 * freedom is which brackets are plain text. A bracket's content has no lone brackets, so at most one other bracket can close it; if that makes
 * no whole construct, it is text, and so are all that stand open around it.
 */
import { space } from "./characters.ts";

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
  readonly depth: number;
}

/** `[a|b|c]`: one a step, in turn. */
export interface Alternation {
  readonly kind: "alternation";
  readonly options: readonly ScheduleTree[];
  readonly depth: number;
}

/** Edits and alternations nested deeper than this are not followed: the prompt counts as one without a schedule. */
const maxDepth = 64;

/** A bracket that still has to prove itself; positions are those in the prompt. */
interface Open {
  readonly bracket: "(" | "[";
  readonly at: number;
  /** Constructs that were complete before it. */
  readonly before: number;
  /** Colons or bars in it. */
  readonly separators: number[];
  separator: ":" | "|" | "";
}

interface Construct {
  readonly item: Edit | Alternation;
  readonly start: number;
  readonly end: number;
}

const number = new RegExp(String.raw`^[${space}]*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)[${space}]*$`);

/** The tree of a prompt, undefined where it has none: a bar outside of `[a|b]`, a backslash at the end of a line, deeper than 64 levels. Linear time. */
export function parseSchedule(prompt: string): ScheduleTree | undefined {
  const constructs: Construct[] = [];
  const open: Open[] = [];
  for (let at = 0; at < prompt.length; at++) {
    const character = prompt[at]!;
    switch (character) {
      case "\\":
        at++;
        if (at === prompt.length || prompt[at] === "\n") return undefined;
        break;
      case "(":
      case "[":
        open.push({ bracket: character, at, before: constructs.length, separators: [], separator: "" });
        break;
      case ":":
      case "|":
        if (!separate(open.at(-1), character, at)) return undefined;
        break;
      case ")":
      case "]": {
        const item = closeBracket(prompt, at, open, constructs);
        if (item === "none" || (item !== "text" && item.depth > maxDepth)) return undefined;
      }
    }
  }
  return abandon(open) ? itemsOf(prompt, -1, [prompt.length], constructs)[0] : undefined;
}

/** Notes a colon or bar; false where it can have no meaning: a colon can always be text, a bar never. */
function separate(frame: Open | undefined, character: ":" | "|", at: number): boolean {
  if (!frame) return character === ":";
  if (character === "|" && frame.bracket === "(") return false;
  if (frame.separator !== "" && frame.separator !== character) return false;
  frame.separator = character;
  frame.separators.push(at);
  return true;
}

/**
 * What a closing bracket makes: a construct, which takes the place of those in it; "text" (an attention weight, or no construct); "none"
 * where nothing fits.
 */
function closeBracket(prompt: string, at: number, open: Open[], constructs: Construct[]): Edit | Alternation | "text" | "none" {
  const frame = open.at(-1);
  if (!frame || frame.bracket !== (prompt[at] === ")" ? "(" : "[")) return abandon(open) ? "text" : "none";
  const { bracket, separators, before } = frame;
  if (separators.length === 0 || (bracket === "(" && separators.length === 1)) {
    open.pop();
    return "text";
  }
  const item = bracket === "[" ? constructOf(prompt, frame, at, constructs) : undefined;
  if (!item) return abandon(open) ? "text" : "none";
  constructs.length = before;
  constructs.push({ item, start: frame.at, end: at + 1 });
  open.pop();
  return item;
}

/** All open brackets are text after all; false if that leaves a bar without meaning. */
function abandon(open: Open[]): boolean {
  const possible = open.every(({ separator }) => separator !== "|");
  open.length = 0;
  return possible;
}

function constructOf(prompt: string, frame: Open, end: number, constructs: readonly Construct[]): Edit | Alternation | undefined {
  const { at, separators, separator, before } = frame;
  if (separator === "|") {
    const options = itemsOf(prompt, at, [...separators, end], constructs, before);
    return { kind: "alternation", options, depth: 1 + depthOf(options) };
  }
  if (separators.length > 2) return undefined;
  const when = number.exec(prompt.slice(separators.at(-1)! + 1, end))?.[1];
  if (when === undefined) return undefined;
  const parts = itemsOf(prompt, at, separators, constructs, before);
  return { kind: "edit", from: parts.length > 1 ? parts[0]! : [], to: parts.at(-1)!, when, depth: 1 + depthOf(parts) };
}

/** Text and constructs after `start`, cut at each of `ends`. */
function itemsOf(
  prompt: string,
  start: number,
  ends: readonly number[],
  constructs: readonly Construct[],
  first = 0,
): ScheduleItem[][] {
  const parts: ScheduleItem[][] = [];
  let from = start + 1;
  let next = first;
  for (const end of ends) {
    const items: ScheduleItem[] = [];
    for (; next < constructs.length && constructs[next]!.start < end; next++) {
      const construct = constructs[next]!;
      if (construct.start > from) items.push(prompt.slice(from, construct.start));
      items.push(construct.item);
      from = construct.end;
    }
    if (end > from) items.push(prompt.slice(from, end));
    parts.push(items);
    from = end + 1;
  }
  return parts;
}

function depthOf(parts: readonly ScheduleTree[]): number {
  let depth = 0;
  for (const part of parts) for (const item of part) if (typeof item !== "string") depth = Math.max(depth, item.depth);
  return depth;
}
