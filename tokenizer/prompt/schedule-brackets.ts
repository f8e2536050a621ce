/** @file Which brackets of a prompt belong together as attention weights `(a:1.2)`, edits `[a:b:3]` and alternations `[a|b]`, as far as each can be one. */
import { space } from "./characters.ts";

/** Brackets that belong together; positions in the prompt. */
export interface Group {
  readonly kind: "weight" | "edit" | "alternation";
  readonly open: number;
  readonly close: number;
  /** Positions of its colons or bars. */
  readonly separators: readonly number[];
  /** Of an edit: as written. */
  readonly when: string;
}

export interface Brackets {
  /** In order of their closing brackets. */
  readonly groups: readonly Group[];
  /** [length] Index among the groups of the one that opens or closes here, else -1. */
  readonly groupAt: Int32Array;
  /** [length] 1 for ( ) [ ] and colon unless escaped: what can be text where it makes no group. A bar never can. */
  readonly marks: Uint8Array;
}

/** Edits and alternations nested deeper than this are not followed: the prompt counts as one without a schedule. */
const maxDepth = 64;

/** A bracket that still has to find its partner; it becomes the group. */
interface Open {
  kind: Group["kind"];
  readonly open: number;
  close: number;
  readonly separators: number[];
  when: string;
  readonly bracket: string;
  separator: string;
  /** Levels of edits and alternations in it. */
  depth: number;
}

const number = new RegExp(String.raw`^[${space}]*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)[${space}]*$`);

/** The groups of a prompt, undefined where it breaks the grammar: a bar outside of `[a|b]`, a backslash at the end of a line, deeper than 64 levels. */
export function matchBrackets(prompt: string): Brackets | undefined {
  const groups: Group[] = [];
  const groupAt = new Int32Array(prompt.length).fill(-1);
  const marks = new Uint8Array(prompt.length);
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
        marks[at] = 1;
        open.push({ kind: "weight", open: at, close: -1, separators: [], when: "", bracket: character, separator: "", depth: 0 });
        break;
      case ":":
      case "|":
        if (character === ":") marks[at] = 1;
        if (!separate(open.at(-1), character, at)) return undefined;
        break;
      case ")":
      case "]": {
        marks[at] = 1;
        const frame = open.at(-1);
        if (!frame || !closeGroup(prompt, frame, at)) {
          // Nothing around a lone bracket can be a group, as those have none in them.
          if (!abandon(open)) return undefined;
          break;
        }
        groupAt[frame.open] = groups.length;
        groupAt[at] = groups.length;
        groups.push(frame);
        open.pop();
        if (frame.kind !== "weight") frame.depth++;
        if (frame.depth > maxDepth) return undefined;
        const outer = open.at(-1);
        if (outer) outer.depth = Math.max(outer.depth, frame.depth);
      }
    }
  }
  return abandon(open) ? { groups, groupAt, marks } : undefined;
}

/** Notes a colon or bar; false where it can have no meaning. */
function separate(frame: Open | undefined, character: ":" | "|", at: number): boolean {
  if (!frame) return character === ":";
  if (character === "|" && frame.bracket === "(") return false;
  if (frame.separator !== "" && frame.separator !== character) return false;
  frame.separator = character;
  frame.separators.push(at);
  return true;
}

/** Makes a group of a bracket and its partner; false if they are none. */
function closeGroup(prompt: string, frame: Open, close: number): boolean {
  const { bracket, separators } = frame;
  if (bracket !== (prompt[close] === ")" ? "(" : "[")) return false;
  frame.close = close;
  if (separators.length === 0 || (bracket === "(" && separators.length === 1)) return true;
  if (frame.separator === "|") {
    frame.kind = "alternation";
    return true;
  }
  if (bracket === "(" || separators.length > 2) return false;
  const when = number.exec(prompt.slice(separators.at(-1)! + 1, close))?.[1];
  frame.kind = "edit";
  frame.when = when ?? "";
  return when !== undefined;
}

/** All open brackets are text after all; false if that leaves a bar without meaning. */
function abandon(open: Open[]): boolean {
  const possible = open.every(({ separator }) => separator !== "|");
  open.length = 0;
  return possible;
}
