/** @file AND: several prompts, each with a weight, for one picture (Liu et al. 2022, composable diffusion), as AUTOMATIC1111's web UI 1.10 writes it. */
import { decimalNumber, digitLength, indexOfWord, skipSpaceBack } from "./characters.ts";

export interface PromptPart {
  readonly text: string;
  readonly weight: number;
}

const partWeight = /^[+-]?(?:\p{Nd}+\.?|\p{Nd}*\.\p{Nd}+)$/u;

/**
 * The parts of a prompt between the words AND. A part that ends in `:number` has that weight, else 1; blanks at its end go, those in front stay.
 * A prompt without AND is one part, and loses a weight at its end too. Linear time.
 */
export function splitParts(prompt: string): PromptPart[] {
  const parts: PromptPart[] = [];
  let start = 0;
  for (let at = indexOfWord(prompt, "AND", 0); at >= 0; at = indexOfWord(prompt, "AND", start)) {
    parts.push(splitWeight(prompt.slice(start, at)));
    start = at + "AND".length;
  }
  parts.push(splitWeight(prompt.slice(start)));
  return parts;
}

function splitWeight(part: string): PromptPart {
  const end = skipSpaceBack(part, part.length);
  const start = numberStart(part, end);
  const colon = start < end ? skipSpaceBack(part, start) - 1 : -1;
  if (colon >= 0 && part[colon] === ":") {
    const number = part.slice(start, end);
    if (partWeight.test(number)) return { text: part.slice(0, skipSpaceBack(part, colon)), weight: decimalNumber(number) };
  }
  return { text: part.slice(0, end), weight: 1 };
}

/** Where the run of digits and dots that ends at a position begins, its sign included. */
function numberStart(text: string, end: number): number {
  let start = end;
  for (let length = 1; length > 0; start -= length) length = numeralLengthBefore(text, start);
  const sign = text[start - 1];
  return start < end && (sign === "+" || sign === "-") ? start - 1 : start;
}

function numeralLengthBefore(text: string, end: number): number {
  const unit = text.charCodeAt(end - 1);
  if (unit < 0x80) return unit === 0x2e /* . */ ? 1 : digitLength(text, end - 1);
  if (digitLength(text, end - 1) === 1) return 1;
  return digitLength(text, end - 2) === 2 ? 2 : 0;
}
