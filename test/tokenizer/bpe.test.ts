import fc from "fast-check";
import { expect, it } from "vitest";
import { mergeSymbols } from "../../tokenizer/bpe.ts";
import { vocabulary } from "../../tokenizer/vocabulary.ts";

const { left, right, idOfByte } = vocabulary();
const ranks = new Map(Array.from(left, (id, rank) => [`${id} ${right[rank]}`, rank]));

/** The bytes' symbols, the last one ending a word. */
function symbolsOf(piece: string): number[] {
  const bytes = [...new TextEncoder().encode(piece)];
  return bytes.map((byte, index) => idOfByte[byte]! + (index === bytes.length - 1 ? 256 : 0));
}

function merged(pieces: readonly string[]): number[] {
  const symbols = pieces.flatMap(symbolsOf);
  mergeSymbols(symbols, vocabulary());
  return symbols.filter((symbol) => symbol >= 0);
}

/** The algorithm as it is defined: look for the lowest rank, join all its places left to right, look again. */
function encodeByDefinition(piece: string): number[] {
  let symbols = symbolsOf(piece);
  for (;;) {
    const pairs = symbols.slice(1).map((symbol, index) => ranks.get(`${symbols[index]} ${symbol}`) ?? Number.POSITIVE_INFINITY);
    const lowest = Math.min(...pairs);
    if (!Number.isFinite(lowest)) return symbols;
    const joined: number[] = [];
    for (let index = 0; index < symbols.length; index++) {
      const merges = symbols[index] === left[lowest] && symbols[index + 1] === right[lowest];
      joined.push(merges ? 512 + lowest : symbols[index]!);
      if (merges) index++;
    }
    symbols = joined;
  }
}

it("joins as the definition does", () => {
  const letters = fc.string({ unit: fc.constantFrom(..."aaaaetinorsbhh!?.-é日🐱"), minLength: 1, maxLength: 24 });
  fc.assert(
    fc.property(fc.array(letters, { minLength: 1, maxLength: 3 }), (pieces) => {
      expect(merged(pieces)).toEqual(pieces.flatMap(encodeByDefinition));
    }),
    { numRuns: 60 },
  );
});

it("makes nothing of nothing", () => {
  expect(merged([])).toEqual([]);
});
