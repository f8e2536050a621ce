/**
 * @file Character classes and numbers as Python's `re` and `float` have them, which the prompt language was written with: JavaScript's \s, \b
 * and \d differ outside ASCII. The parsers look at each character once, by its code, and only characters beyond ASCII are left to a pattern:
 * a pattern that is tried at every character costs most of the time of a parse. Codes stand in the code as numbers with their characters beside them: a name would be looked up each time.
 */

const letterOrNumber = /[\p{L}\p{N}]/u;
const digit = /\p{Nd}/u;
const beyondAscii = /[^\0-\x7f]/;

/** Whether Python's \s matches a UTF-16 unit. */
export function isSpace(unit: number): boolean {
  if (unit < 0x80) return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d) || (unit >= 0x1c && unit <= 0x1f);
  if (unit < 0x2000) return unit === 0x85 || unit === 0xa0 || unit === 0x1680;
  return unit <= 0x200a || unit === 0x2028 || unit === 0x2029 || unit === 0x202f || unit === 0x205f || unit === 0x3000;
}

/** The first position from `at` on that holds no blank. */
export function skipSpace(text: string, at: number): number {
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** The position behind the last character before `end` that is no blank; not before `start`. */
export function skipSpaceBack(text: string, end: number, start = 0): number {
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return end;
}

/** UTF-16 units of the character at a position, if Python's \w matches it; else 0. */
export function wordLength(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit < 0x80) {
    const lower = unit | 0x20;
    return (lower >= 0x61 && lower <= 0x7a) || (unit >= 0x30 && unit <= 0x39) || unit === 0x5f ? 1 : 0;
  }
  return matchLength(letterOrNumber, text, at);
}

/** UTF-16 units of the decimal digit, of any script, at a position; 0 where there is none. */
export function digitLength(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit < 0x80) return unit >= 0x30 && unit <= 0x39 ? 1 : 0;
  return matchLength(digit, text, at);
}

function matchLength(pattern: RegExp, text: string, at: number): number {
  const point = text.codePointAt(at);
  if (point === undefined) return 0;
  const character = String.fromCodePoint(point);
  return pattern.test(character) ? character.length : 0;
}

/** Where a word next stands on its own, between Python's \b; -1 for nowhere. */
export function indexOfWord(text: string, word: string, from: number): number {
  for (let at = text.indexOf(word, from); at >= 0; at = text.indexOf(word, at + word.length)) {
    if (!endsInWord(text, at) && wordLength(text, at + word.length) === 0) return at;
  }
  return -1;
}

function endsInWord(text: string, end: number): boolean {
  const unit = text.charCodeAt(end - 1);
  const paired = unit >= 0xdc00 && unit <= 0xdfff && end > 1; // the second half of a character
  return wordLength(text, paired ? end - 2 : end - 1) > (paired ? 1 : 0);
}

/** The number that Python's `float` reads from sign, digits and dots (digits of any script); NaN where it raises. */
export function decimalNumber(text: string): number {
  return Number(beyondAscii.test(text) ? asciiDigits(text) : text);
}

/** What the digits beyond ASCII that were met so far stand for. */
const digitValues = new Map<string, string>();

function asciiDigits(text: string): string {
  return text.replace(/\p{Nd}/gu, (character) => {
    let value = digitValues.get(character);
    if (value === undefined) {
      value = digitValue(character.codePointAt(0)!);
      digitValues.set(character, value);
    }
    return value;
  });
}

/** Digits of every script stand in runs of ten code points, in order. */
function digitValue(point: number): string {
  let first = point;
  while (digit.test(String.fromCodePoint(first - 1))) first--;
  return String((point - first) % 10);
}
