/**
 * @file JSON from a stranger's picture, as data only: members are looked up as own properties, values by type, and what Python
 * writes beyond the standard (NaN, integers above 2^53) is read.
 */

/** The value, integers of 16 digits and more as strings of digits, NaN and Infinity as null; undefined where it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(standard(text));
  } catch {
    return undefined;
  }
}

/** One pass over the text, strings left alone; no pattern looks further than one number. */
function standard(text: string): string {
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const quote = text.indexOf('"', at);
    const end = quote < 0 ? text.length : quote;
    parts.push(
      text
        .slice(at, end)
        .replace(/-?\b(?:NaN|Infinity)\b/g, "null")
        .replace(/(?<![\d.eE+-])-?\d{16,30}(?![\d.eE])/g, '"$&"'),
    );
    at = quote < 0 ? end : stringEnd(text, quote);
    parts.push(text.slice(end, at));
  }
  return parts.join("");
}

/** The index behind the string that begins at `quote`. */
function stringEnd(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

/** A member of an object; undefined for anything else. Never inherited: `constructor` is no member of `{}`. */
export function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

export function members(value: unknown): readonly (readonly [name: string, value: unknown])[] {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function textsOf(value: unknown): readonly string[] {
  return listOf(value).filter((entry) => typeof entry === "string");
}

/** A finite number, also from digits in a string. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === "string" && /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value.slice(0, 40)))
    return numberOf(Number(value));
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** A whole number from 0 up, exact at any size. */
export function integerOf(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;
  return typeof value === "string" && /^\s*\d{1,20}\s*$/.test(value) ? BigInt(value.trim()) : undefined;
}
