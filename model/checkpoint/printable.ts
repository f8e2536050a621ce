/** @file Text from a file, made safe to print: a tensor's name may hold anything, terminal escapes included. */

// Control characters, line and paragraph separators, bidirectional overrides, byte order mark, lone surrogates.
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/gu;

/** `text` with unprintable characters as `\uXXXX`, cut to `limit` characters. */
export function printable(text: string, limit = 120): string {
  // Cut before escaping too, so that a name of a megabyte costs nothing.
  const start = text.slice(0, limit);
  const escaped = start.replace(unprintable, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return escaped.length > limit || text.length > limit ? `${escaped.slice(0, limit - 3)}...` : escaped;
}

/** Several byte counts in the unit of the largest: `["1.23", "2.13 GB"]`. */
export function byteSizes(...counts: readonly number[]): string[] {
  const largest = Math.max(...counts);
  const [unit, divisor] =
    largest >= 1e9 ? ["GB", 1e9] : largest >= 1e6 ? ["MB", 1e6] : largest >= 1e4 ? ["kB", 1e3] : (["bytes", 1] as const);
  return counts.map((count, index) => {
    const digits = divisor === 1 ? String(count) : (count / Number(divisor)).toFixed(2);
    return index === counts.length - 1 ? `${digits} ${unit}` : digits;
  });
}
