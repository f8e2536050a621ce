import fc from "fast-check";
import { expect, it } from "vitest";
import { clean } from "../../tokenizer/clean.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { appendPieces } from "../../tokenizer/pieces.ts";
import { appendPlain } from "../../tokenizer/plain-text.ts";
import { vocabulary } from "../../tokenizer/vocabulary.ts";

const table = vocabulary();
const ascii = fc.string({ unit: fc.constantFrom(..."abRTESVLdm'''!?.,-01 9  \n\t<>{}~_\""), maxLength: 40 });

it("takes plain ASCII the short way to what the long way gives", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        ascii,
        fc.string({ unit: "grapheme-ascii", maxLength: 40 }).filter((text) => !text.includes("&")),
      ),
      (text) => {
        const short: number[] = [];
        const long: number[] = [];
        expect(appendPlain(text, short, table)).toBe(true);
        appendPieces(clean(text), long, table);
        expect(short).toEqual(long);
      },
    ),
    { numRuns: 500 },
  );
});

it.each(["&", "a &amp; b", "caf\u00e9", "a\rb", "\u007f", "\u0000", "it's \u{1f408}"])("leaves %j to the long way", (text) => {
  const symbols = [1, 2];
  expect(appendPlain(text, symbols, table)).toBe(false);
  expect(symbols).toEqual([1, 2]);
});

it("gives the ids of many texts as of each by itself", () => {
  const tokenizer = new ClipTokenizer();
  fc.assert(
    fc.property(fc.array(fc.oneof(ascii, fc.string({ unit: "binary", maxLength: 12 })), { maxLength: 8 }), (texts) => {
      expect(tokenizer.encodeAll(texts)).toEqual(texts.map((text) => tokenizer.encode(text)));
    }),
    { numRuns: 50 },
  );
});
