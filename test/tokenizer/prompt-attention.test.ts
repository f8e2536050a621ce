import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isBreak, maxDepth, PromptError, parseAttention } from "../../tokenizer/prompt/index.ts";

/** Run with the web UI's own parser. */
const vectors: readonly (readonly [prompt: string, stretches: readonly (readonly [string, number])[]])[] = [
  ["", [["", 1]]],
  ["()", [["", 1]]],
  [
    "a (b) c",
    [
      ["a ", 1],
      ["b", 1.1],
      [" c", 1],
    ],
  ],
  ["((a))", [["a", 1.1 * 1.1]]],
  [
    "(a:1.5) [b]",
    [
      ["a", 1.5],
      [" ", 1],
      ["b", 1 / 1.1],
    ],
  ],
  ["(a:-0.5)", [["a", -0.5]]],
  ["(a: +.5 )", [["a", 0.5]]],
  ["(a:b:1.2)", [["a:b", 1.2]]],
  [
    "(a,(b:1.2):1.5)",
    [
      ["a,", 1.5],
      ["b", 1.2 * 1.5],
    ],
  ],
  [
    String.raw`\(x\) (y)`,
    [
      ["(x) ", 1],
      ["y", 1.1],
    ],
  ],
  [String.raw`a\b \\`, [["ab \\", 1]]],
  ["a) b", [["a) b", 1]]],
  [
    "(a [b) c]",
    [
      ["a ", 1.1],
      ["b", 1.1 / 1.1],
      [" c", 1 / 1.1],
    ],
  ],
  ["(a:1.3", [["a:1.3", 1.1]]],
  ["((a:1.3)", [["a", 1.3 * 1.1]]],
  ["a:1.3)", [["a:1.3)", 1]]],
  ["(a:1e1)", [["a:1e1", 1.1]]],
  ["(a:１.５)", [["a", 1.5]]],
  ["{a}", [["{a}", 1]]],
  [
    "a BREAK b",
    [
      ["a", 1],
      ["BREAK", -1],
      ["b", 1],
    ],
  ],
  [
    "a\u0085BREAK\nBREAK",
    [
      ["a", 1],
      ["BREAK", -1],
      ["", 1],
      ["BREAK", -1],
      ["", 1],
    ],
  ],
  ["a BREAKb éBREAK BREAK_", [["a BREAKb éBREAK BREAK_", 1]]],
  [
    "(a BREAK b:2)",
    [
      ["a", 2],
      ["BREAK", -2],
      ["b", 2],
    ],
  ],
];

it.each(vectors)("reads %j as the web UI does", (prompt, stretches) => {
  const result = parseAttention(prompt);
  expect(result.map(([text]) => text)).toEqual(stretches.map(([text]) => text));
  for (const [index, [, weight]] of stretches.entries()) expect(result[index]?.[1]).toBeCloseTo(weight, 12);
});

describe("numbers", () => {
  it.each(["(x:1.2.3)", "(x:.)", "((x:+.)", "(x:-1..)"])("refuses the weight in %j", (prompt) => {
    expect(() => parseAttention(prompt)).toThrow(PromptError);
    expect(() => parseAttention(prompt)).toThrow(expect.objectContaining({ code: "INVALID_PROMPT_WEIGHT" }));
  });

  it("takes the same as text where no bracket is open", () => {
    expect(parseAttention("x:1.2.3)")).toEqual([["x:1.2.3)", 1]]);
  });
});

it("gives levels beyond the depth cap no weight of their own", () => {
  const nested = (levels: number) => parseAttention(`${"(".repeat(levels)}a${")".repeat(levels)}`)[0]![1];
  expect(nested(maxDepth)).toBeCloseTo(1.1 ** maxDepth, 6);
  expect(nested(maxDepth)).toBeGreaterThan(nested(maxDepth - 1));
  expect(nested(5 * maxDepth)).toBe(nested(maxDepth));
});

const piece = fc.constantFrom("(", ")", "[", "]", ":1.3)", ":", "\\", "\\(", "a", "b c", " BREAK ", "BREAK", "é", "0.5", "|");
const prompts = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""));

it("loses nothing but brackets, weights, escapes and blanks around BREAK, and joins equal neighbours", () => {
  fc.assert(
    fc.property(prompts, (prompt) => {
      const stretches = parseAttention(prompt);
      const bare = (text: string) => text.replace(/[()[\]\\\s]|:1\.3|BREAK/g, "");
      const text = stretches.map((stretch) => (isBreak(stretch) ? "" : stretch[0])).join("");
      expect(bare(text)).toBe(bare(prompt));
      for (const [index, [, weight]] of stretches.entries()) expect(weight).not.toBe(stretches[index - 1]?.[1]);
    }),
  );
});

it("gives one more pair of brackets around a whole prompt a factor of 1.1", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z ]{1,20}$/), fc.integer({ min: 0, max: 9 }), (text, levels) => {
      fc.pre(text.trim() !== "");
      const [[, weight]] = parseAttention(`${"(".repeat(levels)}${text}${")".repeat(levels)}`) as [[string, number]];
      expect(weight).toBeCloseTo(1.1 ** levels, 12);
    }),
  );
});
