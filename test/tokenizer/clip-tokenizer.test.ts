import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clean } from "../../tokenizer/clean.ts";
import { ClipTokenizer, endToken, maxPromptBytes, PromptTooLongError, startToken } from "../../tokenizer/index.ts";
import { hostileIds, promptIds } from "./reference-ids.ts";

const tokenizer = new ClipTokenizer();
const anyString = fc.string({ unit: "binary", maxLength: 60 });

describe("encode", () => {
  it.each(promptIds)("gives the reference's ids for %j", (text, ids) => {
    expect(tokenizer.encode(text).join(" ")).toBe(ids);
  });

  it.each(hostileIds)("gives the reference's ids for the hostile %j", (text, ids) => {
    expect(tokenizer.encode(text).join(" ")).toBe(ids);
  });

  it("gives ids of the vocabulary, never start or end, for any UTF-16", () => {
    const anyUnits = fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
      .map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(anyUnits, (text) => {
        for (const id of tokenizer.encode(text)) expect(Number.isInteger(id) && id >= 0 && id < startToken).toBe(true);
      }),
    );
  });

  it("takes 64 KiB of UTF-8 and refuses one byte more with a code", () => {
    expect(() => tokenizer.encode("é".repeat(maxPromptBytes / 2))).not.toThrow();
    for (const text of ["a".repeat(maxPromptBytes + 1), `a${"é".repeat(maxPromptBytes / 2)}`]) {
      expect(() => tokenizer.encode(text)).toThrow(PromptTooLongError);
      expect(() => tokenizer.encode(text)).toThrow(RangeError);
      expect(() => tokenizer.encode(text)).toThrow(expect.objectContaining({ code: "PROMPT_TOO_LONG" }));
      expect(() => tokenizer.encode(text)).toThrow(/65537 bytes, the limit is 65536/);
    }
  });
});

describe("decode", () => {
  it("gives back the clean text, white space aside", () => {
    const bare = (text: string) => text.replace(/\p{White_Space}|\u0345/gu, "");
    fc.assert(
      fc.property(fc.oneof(anyString, fc.string({ unit: "grapheme" })), (text) => {
        expect(bare(tokenizer.decode(tokenizer.encode(text)))).toBe(bare(clean(text)));
      }),
    );
  });

  it("puts a space after every piece and leaves start, end and padding out", () => {
    const ids = tokenizer.sequence(tokenizer.encode("A photo, of 12 cats!"));
    expect(tokenizer.decode(ids)).toBe("a photo , of 1 2 cats !");
  });

  it("shows half a character as U+FFFD", () => {
    expect(tokenizer.decode([126])).toBe("\ufffd");
  });

  it.each([-1, 0.5, 49408, Number.NaN])("refuses %d, which is no id", (id) => {
    expect(() => tokenizer.decode([320, id])).toThrow(RangeError);
  });
});

describe("sequence", () => {
  it("is start, ids, end, then the end token or zeros", () => {
    expect([...tokenizer.sequence([320, 2368], { length: 6 })]).toEqual([startToken, 320, 2368, endToken, endToken, endToken]);
    expect([...tokenizer.sequence([320, 2368], { length: 6, pad: "zero" })]).toEqual([startToken, 320, 2368, endToken, 0, 0]);
    expect([...tokenizer.sequence([], { length: 2 })]).toEqual([startToken, endToken]);
  });

  it("cuts a long prompt so that the end token is last", () => {
    const ids = tokenizer.encode(`${"masterpiece, ".repeat(59)}masterpiece`);
    const sequence = tokenizer.sequence(ids);
    expect(ids.length).toBe(119);
    expect(sequence.length).toBe(77);
    expect([...sequence.slice(73)]).toEqual([12066, 267, 12066, endToken]);
  });

  it("fills exactly 75 tokens without padding", () => {
    const sequence = tokenizer.sequence(new Array(75).fill(320), { pad: "zero" });
    expect([sequence[75], sequence[76]]).toEqual([320, endToken]);
  });

  it.each([1, 0, -3, 7.5, Number.NaN])("refuses the length %d", (length) => {
    expect(() => tokenizer.sequence([320], { length })).toThrow(RangeError);
  });
});
