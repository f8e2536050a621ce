import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { firstMergeId, startToken, vocabulary, wordEndOffset } from "../../tokenizer/vocabulary.ts";

/** The symbols as openai/CLIP spells them, from its `bytes_to_unicode`, built here the other way round. */
function spell(): string[] {
  const symbols: string[] = [];
  const rest: string[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const character = String.fromCharCode(byte);
    if (/[!-~¡-¬®-ÿ]/.test(character)) symbols.push(character);
    else rest.push(String.fromCharCode(0x100 + rest.length));
  }
  symbols.push(...rest);
  symbols.push(...symbols.map((symbol) => `${symbol}</w>`));
  const { left, right } = vocabulary();
  for (let rank = 0; rank < left.length; rank++) symbols.push(`${symbols[left[rank]!]}${symbols[right[rank]!]}`);
  return symbols;
}

describe("vocabulary", () => {
  const symbols = spell();

  it("holds the used merges of bpe_simple_vocab_16e6.txt, byte for byte", () => {
    const { left, right } = vocabulary();
    const lines = Array.from(left, (id, rank) => `${symbols[id]} ${symbols[right[rank]!]}`);
    expect(lines.slice(0, 3)).toEqual(["i n", "t h", "a n"]);
    expect(lines.at(-1)).toBe("jeky ll</w>");
    expect(createHash("sha256").update(lines.join("\n")).digest("hex")).toBe(
      "f61f2adf497e6f5357c347aeb4646fabe82f341e946de5bdec5d2858e41bef4a",
    );
  });

  it("numbers 49,406 different symbols before the start token", () => {
    expect(symbols.length).toBe(startToken);
    expect(new Set(symbols).size).toBe(startToken);
    expect([0, 64, 188, 220, 256, 267, 320].map((id) => symbols[id])).toEqual(["!", "a", "Ā", "Ġ", "!</w>", ",</w>", "a</w>"]);
  });

  it("has what bpe.ts relies on: a merge uses symbols made before it, and goes on after no word's end", () => {
    const { left, right } = vocabulary();
    const broken = symbols.slice(firstMergeId).filter((_, rank) => {
      const latest = Math.max(left[rank]!, right[rank]!);
      return latest >= firstMergeId + rank || symbols[left[rank]!]!.endsWith("</w>");
    });
    expect(broken).toEqual([]);
  });

  it("finds each pair's rank, and none for others", () => {
    const { left, right, rankOf, idOfByte } = vocabulary();
    for (let rank = 0; rank < left.length; rank++) if (rankOf(left[rank]!, right[rank]!) !== rank) expect.fail(`rank ${rank}`);
    expect(rankOf(idOfByte[0x61]! + wordEndOffset, idOfByte[0x61]!)).toBe(-1);
  });
});
