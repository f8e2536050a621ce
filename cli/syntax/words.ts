/** @file A line cut into words as a shell does it: quotes keep blanks, a backslash the character behind it (Python's shlex.split). */
import { UsageError } from "../../engine/errors.ts";

/** @throws UsageError UNCLOSED_QUOTE */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    const next = line[at + 1];
    const escapes = character === "\\" && next !== undefined && (quote === "" || (quote === '"' && /["\\]/.test(next)));
    if (escapes) {
      word = (word ?? "") + next;
      at++;
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + character;
  }
  if (quote !== "") {
    throw new UsageError("UNCLOSED_QUOTE", `a quote (${quote}) is opened and not closed`, {
      hint: `close it, or write \\${quote} for the character itself`,
    });
  }
  if (word !== undefined) words.push(word);
  return words;
}
