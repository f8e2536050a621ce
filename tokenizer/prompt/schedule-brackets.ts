/** @file Which brackets of a prompt belong together as attention weights `(a:1.2)`, edits `[a:b:3]` and alternations `[a|b]`, as far as each can be one. */
import { skipSpace, skipSpaceBack } from "./characters.ts";
import { maxDepth } from "./depth.ts";

/** What a group of brackets is; 0 stands for none. */
export const groupKind = { weight: 1, edit: 2, alternation: 3 } as const;

/** The groups of a prompt, all by position: a prompt of 64 KiB may have tens of thousands, and an object for each takes most of the time. */
export interface Brackets {
  /** [length] At the opening bracket of a group its kind, else 0. */
  readonly kinds: Uint8Array;
  /** [length] From the opening bracket of a group to its colons or bars, one after the other, and to its closing bracket. */
  readonly next: Int32Array;
  /** [length + 1] From the closing bracket of a group to its opening one, else -1. */
  readonly opening: Int32Array;
  /** [length] 1 for ( ) [ ] and colon unless escaped: what can be text where it makes no group. A bar never can. */
  readonly marks: Uint8Array;
}

/** A bracket that still has to find its partner. */
interface Open {
  at: number;
  round: boolean;
  /** The last of its separators, or itself. */
  last: number;
  /** The code of its separators, colon or bar, and how many there are. */
  separator: number;
  separators: number;
  /** Levels of edits and alternations in it. */
  depth: number;
}

const bar = 0x7c;
const number = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/** The groups of a prompt, undefined where it breaks the grammar: a bar outside of `[a|b]`, a backslash at the end of a line, edits in more than 64 others. */
export function matchBrackets(prompt: string): Brackets | undefined {
  const { length } = prompt;
  const kinds = new Uint8Array(length);
  const next = new Int32Array(length);
  const opening = new Int32Array(length + 1).fill(-1);
  const marks = new Uint8Array(length);
  const open = new OpenBrackets();
  for (let at = 0; at < length; at++) {
    const unit = prompt.charCodeAt(at);
    switch (unit) {
      case 0x5c: // \
        at++;
        if (at === length || prompt[at] === "\n") return undefined;
        break;
      case 0x28: // (
      case 0x5b: // [
        marks[at] = 1;
        open.push(at, unit === 0x28);
        break;
      case 0x3a: // :
      case 0x7c: {
        // |
        const frame = open.last;
        if (unit === 0x3a) marks[at] = 1;
        else if (!frame || frame.round) return undefined;
        if (!frame) break;
        if (frame.separators > 0 && frame.separator !== unit) return undefined;
        next[frame.last] = at;
        frame.last = at;
        frame.separator = unit;
        frame.separators++;
        break;
      }
      case 0x29: // )
      case 0x5d: {
        // ]
        marks[at] = 1;
        const frame = open.last;
        const kind = frame?.round === (unit === 0x29) ? kindOf(prompt, frame, at) : 0;
        if (!frame || kind === 0) {
          // Nothing around a lone bracket can be a group, as those have none in them.
          if (!open.abandon()) return undefined;
          break;
        }
        kinds[frame.at] = kind;
        next[frame.last] = at;
        opening[at] = frame.at;
        if (open.close(kind) > maxDepth) return undefined;
      }
    }
  }
  return open.abandon() ? { kinds, next, opening, marks } : undefined;
}

/** What a bracket and its partner are, 0 if no group. */
function kindOf(prompt: string, { round, last, separator, separators }: Open, close: number): number {
  if (separators === 0 || (round && separators === 1)) return groupKind.weight;
  if (separator === bar) return groupKind.alternation;
  if (round || separators > 2) return 0;
  return number.test(whenOf(prompt, last, close)) ? groupKind.edit : 0;
}

/** When an edit happens, as written between its last colon and its closing bracket. */
export function whenOf(prompt: string, colon: number, close: number): string {
  const start = skipSpace(prompt, colon + 1);
  return prompt.slice(start, skipSpaceBack(prompt, close, start));
}

/** The brackets that are open. Their records are used again, level by level. */
class OpenBrackets {
  readonly #frames: Open[] = [];
  #level = 0;
  /** The innermost. */
  last: Open | undefined;

  push(at: number, round: boolean): void {
    let frame = this.#frames[this.#level];
    if (frame) {
      frame.at = at;
      frame.round = round;
      frame.last = at;
      frame.separators = 0;
      frame.depth = 0;
    } else {
      frame = { at, round, last: at, separator: 0, separators: 0, depth: 0 };
      this.#frames.push(frame);
    }
    this.#level++;
    this.last = frame;
  }

  /** Closes the innermost; its levels of edits and alternations. */
  close(kind: number): number {
    const depth = this.last!.depth + (kind === groupKind.weight ? 0 : 1);
    this.#level--;
    this.last = this.#level > 0 ? this.#frames[this.#level - 1] : undefined;
    if (this.last && this.last.depth < depth) this.last.depth = depth;
    return depth;
  }

  /** All open brackets are text after all; false if that leaves a bar without meaning. */
  abandon(): boolean {
    const possible = !this.#frames.slice(0, this.#level).some(({ separator, separators }) => separators > 0 && separator === bar);
    this.#level = 0;
    this.last = undefined;
    return possible;
  }
}
