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

  /** The text at a step, from 1 on, with the last step before each edit by its index among the constructs. Linear time. */
  textAt(step: number, edits: ArrayLike<number>): string {
    const prompt = this.#prompt;
    const taken: string[] = [];
    /** Where the text begins that is still to be taken. */
    let start = 0;
    // The ends of the parts that are being read, and of their constructs, outermost first; of `depth` of them.
    const ends: number[] = [];
    const closes: number[] = [];
    let depth = 0;
    const { constructs } = this;
    for (let index = 0; index <= constructs.length; index++) {
      const construct = constructs[index];
      const open = construct ? construct.open : prompt.length;
      while (depth > 0 && ends[depth - 1]! <= open) {
        depth--;
        if (ends[depth]! > start) taken.push(prompt.slice(start, ends[depth]));
        start = closes[depth]! + 1;
      }
      if (open > start) taken.push(prompt.slice(start, open));
      if (!construct) break;
      if (open < start) continue; // in a part that is not read
      const before = this.#separatorBefore(construct, step, edits[index]!);
      start = before < 0 ? open + 1 : before + 1;
      ends[depth] = before < 0 ? start : this.#next[before]!;
      closes[depth] = construct.close;
      depth++;
    }
    return taken.join("");
  }

  /** The opening bracket or separator in front of the part that a step reads; -1 for the missing `from` of `[to:when]`. */
  #separatorBefore({ open, separators, when }: Construct, step: number, edit: number): number {
    const next = this.#next;
    if (when !== undefined) {
      if (separators === 1) return step <= edit ? -1 : open;
      return step <= edit ? open : next[open]!;
    }
    let before = open;
    for (let passed = (step - 1) % (separators + 1); passed > 0; passed--) before = next[before]!;
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
