/**
 * @file The shape that A1111's text has, and sd.cpp's: prompt lines, negative prompt lines, one last line of `Key: value`
 * (modules/infotext_utils.py, parse_generation_parameters). Linear in the text, whatever it holds.
 */

export interface Infotext {
  readonly prompt: string;
  readonly negative: string;
  /** The last value of each key, in the order of the text, quotes undone. */
  readonly values: ReadonlyMap<string, string>;
}

/** A key of letters, digits, blanks, hyphens and slashes, before its colon. */
const keyEnd = /[\p{L}\p{N}_][\p{L}\p{N}_ \-/]{1,60}$/u;
const longestKey = 61;
/** A value in double quotes, or up to the next comma. */
const valueAt = /\s*("(?:\\.|[^\\"])+"(?=,|$)|[^,]*)/y;
/** A last line with fewer pairs is a line of the prompt. */
const fewestPairs = 3;
const negativeMark = "Negative prompt:";

export function parseInfotext(text: string): Infotext {
  const lines = text.trim().split("\n");
  const pairs = pairsIn(lines.at(-1) ?? "");
  const isParameters = pairs.length >= fewestPairs;
  const prompt: string[] = [];
  const negative: string[] = [];
  let isNegative = false;
  for (const line of (isParameters ? lines.slice(0, -1) : lines).map((raw) => raw.trim())) {
    const begins = line.startsWith(negativeMark);
    isNegative ||= begins;
    (isNegative ? negative : prompt).push(begins ? line.slice(negativeMark.length).trim() : line);
  }
  const values = new Map<string, string>();
  if (isParameters) for (const [key, value] of pairs) values.set(key, unquoted(value));
  return { prompt: prompt.join("\n"), negative: negative.join("\n"), values };
}

/** From colon to colon: looking forward for keys would take a long line's length at each of its letters. */
function pairsIn(line: string): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  for (let at = 0, colon = line.indexOf(":"); colon >= 0; colon = line.indexOf(":", at)) {
    const key = keyEnd.exec(line.slice(Math.max(at, colon - longestKey), colon))?.[0];
    at = colon + 1;
    if (key === undefined) continue;
    valueAt.lastIndex = at;
    const value = valueAt.exec(line)?.[1] ?? "";
    at = valueAt.lastIndex + 1; // behind the comma
    pairs.push([key, value]);
  }
  return pairs;
}

/** JSON's quotes undone, where it is JSON. */
function unquoted(value: string): string {
  if (!/^".*"$/s.test(value)) return value;
  try {
    const text: unknown = JSON.parse(value);
    return typeof text === "string" ? text : value;
  } catch {
    return value;
  }
}
