/** What Windows-1252 has in place of the C1 controls 0x80..0x9F; its five unused bytes stay controls, as browsers read them. */
const specials =
  "\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f" +
  "\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178";

const byteOfSpecial: ReadonlyMap<string, number> = new Map(Array.from(specials, (character, index) => [character, 0x80 + index]));

/** The character of a byte 0..255. */
export function characterOfWindows1252(byte: number): string {
  return byte >= 0x80 && byte <= 0x9f ? specials.charAt(byte - 0x80) : String.fromCharCode(byte);
}

/** The byte that Windows-1252 or Latin-1 shows as this UTF-16 unit, or undefined. */
export function byteOfWindows1252(character: string): number | undefined {
  const code = character.charCodeAt(0);
  return code <= 0xff ? code : byteOfSpecial.get(character);
}
