/**
 * @file A prompt with its edits `[from:to:when]` and alternations `[a|b]`, and its text with one part of each. The grammar is that of
 * AUTOMATIC1111's web UI 1.10, modules/prompt_parser.py.
 */
import { type Brackets, groupKind, matchBrackets, whenOf } from "./schedule-brackets.ts";
import { chooseConstructs } from "./schedule-choice.ts";

/** An edit or an alternation. */
export interface Construct {
  /** Positions of its brackets. */
  readonly open: number;
  readonly close: number;
  readonly separators: number;
  /** Of an edit: when it happens, as written; whether it has a dot tells a share of the steps from a step. */
  readonly when: string | undefined;
}

/** A prompt that keeps to the grammar. Everything but edits and alternations is text, the brackets of attention weights too. */
export class EditedPrompt {
  readonly #prompt: string;
  readonly #next: Int32Array;
  /** In order of their opening brackets, those within others included. */
  readonly constructs: readonly Construct[];

  private constructor(prompt: string, brackets: Brackets, opens: readonly number[]) {
    this.#prompt = prompt;
    this.#next = brackets.next;
    this.constructs = opens.map((open) => constructAt(prompt, brackets, open));
  }

  /** Undefined for a prompt that breaks the grammar (see `matchBrackets`) or has nothing that changes. Linear time. */
  static parse(prompt: string): EditedPrompt | undefined {
    if (!prompt.includes("[")) return undefined;
    const brackets = matchBrackets(prompt);
    const opens = brackets && chooseConstructs(brackets);
    return opens && opens.length > 0 ? new EditedPrompt(prompt, brackets, opens) : undefined;
  }

  /** The text with one part of each construct, counted from 0; an edit's are `from` and `to`. Linear time. */
  text(partOf: (construct: Construct, index: number) => number): string {
    let text = "";
    /** Where the text begins that is still to be taken. */
    let start = 0;
    // The ends of the parts that are being read, and of their constructs; outermost first.
    const ends: number[] = [];
    const closes: number[] = [];
    const leave = (): void => {
      text += this.#prompt.slice(start, ends.pop());
      start = closes.pop()! + 1;
    };
    for (let index = 0; index < this.constructs.length; index++) {
      const construct = this.constructs[index]!;
      const { open, close } = construct;
      while (ends.length > 0 && ends[ends.length - 1]! <= open) leave();
      if (open < start) continue; // in a part that is not read
      text += this.#prompt.slice(start, open);
      const before = this.#separatorBefore(construct, partOf(construct, index));
      start = (before ?? open) + 1;
      ends.push(before === undefined ? start : this.#next[before]!);
      closes.push(close);
    }
    while (ends.length > 0) leave();
    return text + this.#prompt.slice(start);
  }

  /** The opening bracket or separator in front of a part; undefined for the missing `from` of `[to:when]`. */
  #separatorBefore({ open, separators, when }: Construct, part: number): number | undefined {
    const oneSided = when !== undefined && separators === 1;
    if (oneSided) return part === 0 ? undefined : open;
    let before = open;
    for (let passed = 0; passed < part; passed++) before = this.#next[before]!;
    return before;
  }
}

function constructAt(prompt: string, { kinds, next, opening }: Brackets, open: number): Construct {
  let last = open;
  let separators = 0;
  for (let at = next[open]!; opening[at]! < 0; at = next[at]!) {
    last = at;
    separators++;
  }
  const close = next[last]!;
  return { open, close, separators, when: kinds[open] === groupKind.edit ? whenOf(prompt, last, close) : undefined };
}
