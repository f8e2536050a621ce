/** @file AND: several prompts, each with a weight, for one picture (Liu et al. 2022, composable diffusion), as AUTOMATIC1111's web UI 1.10 writes it. */
import { decimalNumber, isSpace, wholeWord } from "./characters.ts";

export interface PromptPart {
  readonly text: string;
  readonly weight: number;
}

const and = wholeWord("AND");
const numeral = /[.\p{Nd}]/u;
const partWeight = /^[+-]?(?:\p{Nd}+\.?|\p{Nd}*\.\p{Nd}+)$/u;

/**
 * The parts of a prompt between the words AND. A part that ends in `:number` has that weight, else 1; blanks at its end go, those in front stay.
 * A prompt without AND is one part, and loses a weight at its end too. Linear time.
 */
export function splitParts(prompt: string): PromptPart[] {
  return prompt.split(and).map(splitWeight);
}

function splitWeight(part: string): PromptPart {
  const text = trimEnd(part);
  const number = lastNumber(text);
  if (number !== "") {
    const rest = trimEnd(text.slice(0, text.length - number.length));
    if (rest.endsWith(":")) return { text: trimEnd(rest.slice(0, -1)), weight: decimalNumber(number) };
  }
  return { text, weight: 1 };
}

/** The number that a text ends in, with its sign. The run of digits and dots is cut out first, as a pattern would start at each of them. */
function lastNumber(text: string): string {
  let start = text.length;
  while (start > 0 && numeral.test(text[start - 1]!)) start--;
  if (start > 0 && /[+-]/.test(text[start - 1]!)) start--;
  const run = text.slice(start);
  return partWeight.test(run) ? run : "";
}

/** Not `trimEnd()`: Python's blanks, and not a pattern, which would take quadratic time on blanks inside. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text[end - 1]!)) end--;
  return text.slice(0, end);
}
