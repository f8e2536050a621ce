import { byteOfWindows1252 } from "./windows-1252.ts";

/** Stands for a character that is no byte; a lone surrogate never is one. */
const noByte = "\ud800";

/** One or more well-formed UTF-8 sequences of two to four bytes, a byte as the character of its number (Unicode, table 3-7). */
const sequences = new RegExp(
  [
    "(?:[\\xc2-\\xdf][\\x80-\\xbf]",
    "\\xe0[\\xa0-\\xbf][\\x80-\\xbf]",
    "\\xed[\\x80-\\x9f][\\x80-\\xbf]",
    "[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}",
    "\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}",
    "[\\xf1-\\xf3][\\x80-\\xbf]{3}",
    "\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2})+",
  ].join("|"),
  "g",
);

/** Bytes shown as signs that do not stand beside an accented letter in real text: no letters, quotes, dashes, spaces. */
const sign = "\\x83\\x86-\\x89\\x98\\xa2-\\xa8\\xac\\xaf\\xb1-\\xb3\\xb5\\xb6\\xb8\\xb9\\xbc-\\xbe";
const mark = "\\x82\\x84\\x8b\\x91\\x93-\\x95\\x99\\x9b\\xa1\\xa9\\xab\\xae\\xbb\\xbf";

/** Sequences that are broken text and not a writer's. */
const convincing = new RegExp(
  [
    // Emoji and all else of four bytes.
    "[\\xf0-\\xf4][\\x80-\\xbf]{3}",
    // CJK, Indic and general punctuation: a small accented letter, then a sign or a ligature and one more byte.
    `[\\xe0-\\xef][\\x80\\x8c\\x95\\x99\\x9c\\xa1\\xa9\\xae\\xb0${sign}][\\x80-\\xbf]`,
    "\\xe2[\\x82\\x84][\\x80-\\xbf]",
    // The letters of the Latin-1 block, save where punctuation may follow a capital.
    "[\\xc2\\xc3][\\x80-\\x84\\x86-\\x91\\x93-\\xbf]",
    // Other alphabets: a capital before a sign, or before a quote or mark inside a word.
    `[\\xc4-\\xdf](?:[${sign}]|[${mark}]\\w)`,
  ].join("|"),
);

/**
 * Repairs UTF-8 that was read as Windows-1252 or Latin-1 (`cafÃ©`, `lâ€™homme`), the commonest mojibake by far, as ftfy's
 * `fix_encoding` does for clear cases. The judgement what is clear is our own and simpler. Not ported: the other code pages
 * (Windows-1250, 1251, 1253, 1254, 1257, ISO 8859-2, MacRoman, CP437), lost bytes (a space for 0xA0, U+FFFD), CESU-8.
 *
 * When one sequence is clearly broken and everything else beyond ASCII also reads as UTF-8, the whole text is decoded;
 * else only the runs that contain a clear one.
 */
export function repairMojibake(text: string): string {
  if (!/[\u00c2-\u00f4]/.test(text)) return text;
  const bytes = Array.from({ length: text.length }, (_, index) => {
    const byte = byteOfWindows1252(text.charAt(index));
    return byte === undefined ? noByte : String.fromCharCode(byte);
  }).join("");
  if (!isClear(bytes, text)) return text;

  const entirely = !/[^\0-\x7f]/.test(bytes.replace(sequences, ""));
  let repaired = "";
  let end = 0;
  for (const run of bytes.matchAll(sequences)) {
    repaired += text.slice(end, run.index);
    end = run.index + run[0].length;
    const shown = text.slice(run.index, end);
    repaired += !isMixed(shown) && (entirely || isClear(run[0], shown)) ? decodeBytes(run[0]) : shown;
  }
  return repaired + text.slice(end);
}

/** Whether the bytes, shown as this text, have a clearly broken sequence; nobody writes C1 controls. */
function isClear(bytes: string, shown: string): boolean {
  return convincing.test(bytes) || /[\u0080-\u009f]/.test(shown);
}

/** Whether some of the text was read as Latin-1 and some as Windows-1252: no single decoder shows both kinds of characters. */
function isMixed(shown: string): boolean {
  return /(?![\u0081\u008d\u008f\u0090\u009d])[\u0080-\u009f]/.test(shown) && /[^\0-\u00ff]/.test(shown);
}

function decodeBytes(bytes: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
}
