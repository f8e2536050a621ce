/**
 * @file Attention weights: `(word)`, `(word:1.3)`, `[word]`, escapes and BREAK. The language and its results are those of AUTOMATIC1111's web UI
 * 1.10, modules/prompt_parser.py `parse_prompt_attention`.
 */
import { decimalNumber, isSpace, space, wholeWord } from "./characters.ts";
import { PromptError, quoted } from "./prompt-error.ts";

/** A stretch of text and its weight. A chunk break is the pair ["BREAK", -1]. */
export type WeightedText = readonly [text: string, weight: number];

/** Nested brackets beyond this many levels of a kind keep their text and have no weight of their own. */
export const maxDepth = 64;

/** A weight with the bracket that it closes, or a colon. */
const colon = new RegExp(String.raw`:(?:[${space}]*([+-]?[.\p{Nd}]+)[${space}]*\))?`, "uy");
const plain = /[^\\()[\]:]+/y;
const breaks = wholeWord("BREAK");
const up = 1.1;
const down = 1 / 1.1;

/** Whether an entry of `parseAttention` closes a chunk. */
export function isBreak([text, weight]: WeightedText): boolean {
  return text === "BREAK" && weight === -1;
}

/**
 * The stretches of a prompt with their weights, neighbours of equal weight joined; `[["", 1]]` for an empty one. Any string is valid but for
 * numbers: brackets without a partner count to the end of the prompt (opening) or are text (closing).
 * @throws PromptError INVALID_PROMPT_WEIGHT for one such as 1.2.3
 */
export function parseAttention(prompt: string): WeightedText[] {
  const texts: string[] = [];
  const weights: number[] = [];
  const round: number[] = [];
  const square: number[] = [];
  const multiply = (open: readonly number[], level: number, factor: number): void => {
    if (level >= maxDepth) return;
    for (let index = open[level]!; index < weights.length; index++) weights[index]! *= factor;
  };
  const close = (open: number[], factor: number): boolean => {
    if (open.length === 0) return false;
    multiply(open, open.length - 1, factor);
    open.pop();
    return true;
  };
  const add = (text: string, weight: number): void => {
    texts.push(text);
    weights.push(weight);
  };
  for (let at = 0; at < prompt.length; ) {
    const character = prompt[at]!;
    let length = 1;
    switch (character) {
      case "\\":
        length = /[\\()[\]]/.test(prompt[at + 1] ?? "") ? 2 : 1;
        add(prompt.slice(at + 1, at + length), 1);
        break;
      case "(":
        round.push(weights.length);
        break;
      case "[":
        square.push(weights.length);
        break;
      case ")":
        if (!close(round, up)) add(character, 1);
        break;
      case "]":
        if (!close(square, down)) add(character, 1);
        break;
      default: {
        const [text, number] = matchAt(character === ":" ? colon : plain, prompt, at);
        if (number === undefined || round.length === 0) addText(text, add);
        else close(round, weightOf(number));
        length = text.length;
      }
    }
    at += length;
  }
  for (const level of round.slice(0, maxDepth).keys()) multiply(round, level, up);
  for (const level of square.slice(0, maxDepth).keys()) multiply(square, level, down);
  return joined(texts, weights);
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray {
  pattern.lastIndex = at;
  return pattern.exec(text)!;
}

function weightOf(number: string): number {
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

/** Text with its BREAKs. The blanks around them are looked for from the word outwards, as a pattern that starts with blanks takes quadratic time. */
function addText(text: string, add: (text: string, weight: number) => void): void {
  let start = 0;
  for (const { index } of text.includes("BREAK") ? text.matchAll(breaks) : []) {
    let end = index;
    while (end > start && isSpace(text[end - 1]!)) end--;
    add(text.slice(start, end), 1);
    add("BREAK", -1);
    start = index + "BREAK".length;
    while (start < text.length && isSpace(text[start]!)) start++;
  }
  add(text.slice(start), 1);
}

function joined(texts: readonly string[], weights: readonly number[]): WeightedText[] {
  const result: [text: string, weight: number][] = [];
  for (const [index, weight] of weights.entries()) {
    const last = result.at(-1);
    if (last && last[1] === weight) last[0] += texts[index]!;
    else result.push([texts[index]!, weight]);
  }
  return result.length > 0 ? result : [["", 1]];
}
