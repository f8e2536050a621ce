/**
 * @file Character classes and numbers as Python's `re` and `float` have them, which the prompt language was written with: JavaScript's \s, \b
 * and \d differ outside ASCII.
 */

/** Inside of a character class: what Python's \s matches in a string. */
export const space = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** Inside of a character class with flag u: what Python's \w matches in a string. */
export const word = "\\p{L}\\p{N}_";

const spaces = new RegExp(`^[${space}]$`);

export function isSpace(character: string): boolean {
  return spaces.test(character);
}

/** A pattern for one word on its own, between Python's \b. Flags g and u. */
export function wholeWord(text: string): RegExp {
  return new RegExp(`(?<![${word}])${text}(?![${word}])`, "gu");
}

/** The number that Python's `float` reads from sign, digits and dots (digits of any script); NaN where it raises. */
export function decimalNumber(text: string): number {
  const digits = text.replace(/\p{Nd}/gu, digitValue);
  return /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$/.test(digits) ? Number(digits) : Number.NaN;
}

/** Digits of every script stand in runs of ten code points, in order. */
function digitValue(digit: string): string {
  const code = digit.codePointAt(0)!;
  let first = code;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(first - 1))) first--;
  return String((code - first) % 10);
}
