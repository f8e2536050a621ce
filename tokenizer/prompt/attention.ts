/**
 * @file Attention weights: `(word)`, `(word:1.3)`, `[word]`, escapes and BREAK. The language and its results are those of AUTOMATIC1111's web UI
 * 1.10, modules/prompt_parser.py `parse_prompt_attention`.
 */
import { decimalNumber, digitLength, indexOfWord, skipSpace, skipSpaceBack } from "./characters.ts";
import { maxDepth } from "./depth.ts";
import { PromptError, quoted } from "./prompt-error.ts";

/** A stretch of text and its weight. A chunk break is the pair ["BREAK", -1]. */
export type WeightedText = readonly [text: string, weight: number];

const up = 1.1;
const down = 1 / 1.1;

/** Whether an entry of `parseAttention` closes a chunk. */
export function isBreak([text, weight]: WeightedText): boolean {
  return text === "BREAK" && weight === -1;
}

/**
 * The stretches of a prompt with their weights, neighbours of equal weight joined; `[["", 1]]` for an empty one. Any string is valid but for
 * numbers: brackets without a partner count to the end of the prompt (opening) or are text (closing). Brackets in more than 64 others of their
 * kind have no weight of their own. Linear time.
 * @throws PromptError INVALID_PROMPT_WEIGHT for one such as 1.2.3
 */
export function parseAttention(prompt: string): WeightedText[] {
  const stretches = new Stretches(prompt);
  // The brackets that are open, by the stretch that each begins with.
  const round: number[] = [];
  const square: number[] = [];
  let start = 0;
  for (let at = 0; at < prompt.length; at++) {
    switch (prompt.charCodeAt(at)) {
      case 0x5c: // \
        stretches.addText(start, at);
        start = at + 1;
        if (isEscapable(prompt.charCodeAt(start))) at = start;
        else stretches.add("", 1);
        break;
      case 0x28: // (
        stretches.addText(start, at);
        round.push(stretches.begin());
        start = at + 1;
        break;
      case 0x5b: // [
        stretches.addText(start, at);
        square.push(stretches.begin());
        start = at + 1;
        break;
      case 0x29: // )
        if (round.length === 0) break;
        stretches.addText(start, at);
        stretches.close(round, up);
        start = at + 1;
        break;
      case 0x5d: // ]
        if (square.length === 0) break;
        stretches.addText(start, at);
        stretches.close(square, down);
        start = at + 1;
        break;
      case 0x3a: {
        // :
        const weight = round.length === 0 ? undefined : weightAt(prompt, at + 1);
        if (!weight) break;
        stretches.addText(start, at);
        stretches.close(round, numberOf(weight.text));
        at = weight.close;
        start = at + 1;
      }
    }
  }
  stretches.addText(start, prompt.length);
  stretches.closeAll(round, up);
  stretches.closeAll(square, down);
  return stretches.joined();
}

/** Backslash and brackets. */
function isEscapable(unit: number): boolean {
  return unit === 0x28 || unit === 0x29 || (unit >= 0x5b && unit <= 0x5d);
}

/** The weight behind a colon, ` 1.2 )`, and the bracket that closes it. */
function weightAt(prompt: string, start: number): { readonly text: string; readonly close: number } | undefined {
  const first = skipSpace(prompt, start);
  const sign = prompt.charCodeAt(first);
  const digits = sign === 0x2b /* + */ || sign === 0x2d /* - */ ? first + 1 : first;
  let end = digits;
  for (let length = 1; length > 0; end += length) length = prompt.charCodeAt(end) === 0x2e /* . */ ? 1 : digitLength(prompt, end);
  if (end === digits) return undefined;
  const close = skipSpace(prompt, end);
  return prompt.charCodeAt(close) === 0x29 /* ) */ ? { text: prompt.slice(first, end), close } : undefined;
}

function numberOf(weight: string): number {
  const number = decimalNumber(weight);
  if (Number.isNaN(number)) {
    throw new PromptError(
      "INVALID_PROMPT_WEIGHT",
      `prompt: the weight ${quoted(weight)} is no number`,
      "write it like (word:1.3)",
    );
  }
  return number;
}

/** The texts so far and the products of their brackets' factors. */
class Stretches {
  readonly #prompt: string;
  readonly #hasBreaks: boolean;
  readonly #texts: string[] = [];
  readonly #weights: number[] = [];
  /** Whether the last one goes on: no bracket and no BREAK came since. */
  #goesOn = false;

  constructor(prompt: string) {
    this.#prompt = prompt;
    this.#hasBreaks = prompt.includes("BREAK");
  }

  add(text: string, weight: number): void {
    if (this.#goesOn) {
      this.#texts[this.#texts.length - 1] += text;
      return;
    }
    this.#texts.push(text);
    this.#weights.push(weight);
    this.#goesOn = true;
  }

  /** Text of the prompt, with its BREAKs. The blanks around them are looked for from the word outwards, as a pattern that starts with blanks takes quadratic time. */
  addText(from: number, to: number): void {
    if (from === to) return;
    const text = this.#prompt.slice(from, to);
    let start = 0;
    for (let at = this.#nextBreak(text, 0); at >= 0; at = this.#nextBreak(text, start)) {
      this.add(text.slice(start, skipSpaceBack(text, at, start)), 1);
      this.begin();
      this.add("BREAK", -1);
      this.begin();
      start = skipSpace(text, at + "BREAK".length);
    }
    this.add(start === 0 ? text : text.slice(start), 1);
  }

  #nextBreak(text: string, from: number): number {
    return this.#hasBreaks ? indexOfWord(text, "BREAK", from) : -1;
  }

  /** Ends the last stretch; the number of the next. */
  begin(): number {
    this.#goesOn = false;
    return this.#texts.length;
  }

  /** Multiplies what stands in the innermost bracket. */
  close(open: number[], factor: number): void {
    const level = open.length - 1;
    const first = open.pop()!;
    if (level < maxDepth) this.#multiply(first, factor);
    this.begin();
  }

  /** Brackets that nothing closes end with the prompt. */
  closeAll(open: readonly number[], factor: number): void {
    for (const first of open.slice(0, maxDepth)) this.#multiply(first, factor);
  }

  #multiply(first: number, factor: number): void {
    for (let index = first; index < this.#weights.length; index++) this.#weights[index]! *= factor;
  }

  joined(): WeightedText[] {
    const result: [text: string, weight: number][] = [];
    let last: [text: string, weight: number] | undefined;
    for (let index = 0; index < this.#texts.length; index++) {
      const weight = this.#weights[index]!;
      if (last?.[1] === weight) last[0] += this.#texts[index]!;
      else {
        last = [this.#texts[index]!, weight];
        result.push(last);
      }
    }
    return result.length > 0 ? result : [["", 1]];
  }
}
