/**
 * @file Attention weights: `(word)`, `(word:1.3)`, `[word]`, escapes and BREAK. The language and its results are those of AUTOMATIC1111's web UI
 * 1.10, modules/prompt_parser.py `parse_prompt_attention`.
 */
import { code, decimalNumber, digitLength, indexOfWord, skipSpace, skipSpaceBack } from "./characters.ts";
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
  const stretches = new Stretches();
  // The brackets that are open, by the stretch that each begins with.
  const round: number[] = [];
  const square: number[] = [];
  let start = 0;
  for (let at = 0; at < prompt.length; at++) {
    let end = at;
    switch (prompt.charCodeAt(at)) {
      case code.backslash:
        stretches.addText(prompt.slice(start, at));
        if (isEscapable(prompt.charCodeAt(at + 1))) at++;
        else stretches.add("", 1);
        start = end + 1;
        continue;
      case code.openRound:
        stretches.addText(prompt.slice(start, at));
        round.push(stretches.begin());
        break;
      case code.openSquare:
        stretches.addText(prompt.slice(start, at));
        square.push(stretches.begin());
        break;
      case code.closeRound:
        if (round.length === 0) continue;
        stretches.addText(prompt.slice(start, at));
        stretches.close(round, up);
        break;
      case code.closeSquare:
        if (square.length === 0) continue;
        stretches.addText(prompt.slice(start, at));
        stretches.close(square, down);
        break;
      case code.colon:
        end = round.length === 0 ? -1 : weightEnd(prompt, at);
        if (end < 0) continue;
        stretches.addText(prompt.slice(start, at));
        stretches.close(round, weightOf(prompt, at + 1, end));
        break;
      default:
        continue;
    }
    at = end;
    start = end + 1;
  }
  stretches.addText(prompt.slice(start));
  stretches.closeAll(round, up);
  stretches.closeAll(square, down);
  return stretches.joined();
}

function isEscapable(unit: number): boolean {
  return (
    unit === code.backslash ||
    unit === code.openRound ||
    unit === code.closeRound ||
    unit === code.openSquare ||
    unit === code.closeSquare
  );
}

/** The bracket that closes a weight, `: 1.2 )`, by its colon; -1 where there is none. */
function weightEnd(prompt: string, colon: number): number {
  let at = skipSpace(prompt, colon + 1);
  const sign = prompt.charCodeAt(at);
  if (sign === code.plus || sign === code.minus) at++;
  const first = at;
  for (let length = 1; length > 0; at += length) length = prompt.charCodeAt(at) === code.dot ? 1 : digitLength(prompt, at);
  if (at === first) return -1;
  at = skipSpace(prompt, at);
  return prompt.charCodeAt(at) === code.closeRound ? at : -1;
}

function weightOf(prompt: string, start: number, end: number): number {
  const number = prompt.slice(skipSpace(prompt, start), skipSpaceBack(prompt, end));
  const weight = decimalNumber(number);
  if (Number.isNaN(weight)) {
    throw new PromptError(
      "INVALID_PROMPT_WEIGHT",
      `prompt: the weight ${quoted(number)} is no number`,
      "write it like (word:1.3)",
    );
  }
  return weight;
}

/** The texts so far and the products of their brackets' factors. */
class Stretches {
  readonly #texts: string[] = [];
  readonly #weights: number[] = [];
  /** Whether the last one goes on: no bracket and no BREAK came since. */
  #goesOn = false;

  add(text: string, weight: number): void {
    if (this.#goesOn) {
      this.#texts[this.#texts.length - 1] += text;
      return;
    }
    this.#texts.push(text);
    this.#weights.push(weight);
    this.#goesOn = true;
  }

  /** Text with its BREAKs. The blanks around them are looked for from the word outwards, as a pattern that starts with blanks takes quadratic time. */
  addText(text: string): void {
    if (text === "") return;
    let start = 0;
    for (let at = indexOfWord(text, "BREAK", 0); at >= 0; at = indexOfWord(text, "BREAK", start)) {
      this.add(text.slice(start, skipSpaceBack(text, at, start)), 1);
      this.begin();
      this.add("BREAK", -1);
      this.begin();
      start = skipSpace(text, at + "BREAK".length);
    }
    this.add(text.slice(start), 1);
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
