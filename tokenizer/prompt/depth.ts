/** @file How deep brackets may be nested. */
import { PromptError } from "./prompt-error.ts";

/** Most brackets in each other. Six are many; 64 of them weigh a word 446 times, of which no picture is left. */
export const maxDepth = 64;

/**
 * Refuses a prompt in which more brackets than that are open at once, round and square ones together. Those that nothing closes count, as each
 * has a weight; escaped ones, and closing ones without a partner, are text. Linear time.
 * @throws PromptError PROMPT_NESTING
 */
export function checkDepth(prompt: string): void {
  let round = 0;
  let square = 0;
  let deepest = 0;
  for (let at = 0; at < prompt.length; at++) {
    switch (prompt.charCodeAt(at)) {
      case 0x5c: // \
        at++;
        break;
      case 0x28: // (
        round++;
        break;
      case 0x5b: // [
        square++;
        break;
      case 0x29: // )
        if (round > 0) round--;
        break;
      case 0x5d: // ]
        if (square > 0) square--;
    }
    if (round + square > deepest) deepest = round + square;
  }
  if (deepest > maxDepth) throw tooDeep(deepest);
}

export function tooDeep(levels: number): PromptError {
  return new PromptError(
    "PROMPT_NESTING",
    `prompt: brackets are ${levels} levels deep, the limit is ${maxDepth}`,
    "close them, give a weight as (word:1.3), or write \\( and \\[ for brackets that are text",
  );
}
