import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { entryAt, promptSchedule, type ScheduleOptions } from "../../tokenizer/prompt/index.ts";

const schedule = (prompt: string, steps = 10, options?: ScheduleOptions) =>
  promptSchedule(prompt, steps, options).map(({ end, text }) => [end, text] as const);

/** Run with the web UI's own parser, 10 steps. */
it.each<readonly [string, readonly (readonly [number, string])[]]>([
  ["a cat", [[10, "a cat"]]],
  ["", [[10, ""]]],
  [
    "a [b:3]",
    [
      [3, "a "],
      [10, "a b"],
    ],
  ],
  [
    "[a:b:0.5]",
    [
      [5, "a"],
      [10, "b"],
    ],
  ],
  [
    "[a:b:.5]",
    [
      [5, "a"],
      [10, "b"],
    ],
  ],
  [
    "[a:b:+5]",
    [
      [5, "a"],
      [10, "b"],
    ],
  ],
  ["[a:b:5e-1]", [[10, "b"]]],
  ["[a:b:1.0]", [[10, "a"]]],
  ["[a:b:15]", [[10, "a"]]],
  [
    "[a:b:1]",
    [
      [1, "a"],
      [10, "b"],
    ],
  ],
  ["[a:b:0]", [[10, "b"]]],
  ["[a:b:-3]", [[10, "b"]]],
  ["[a:b:0.01]", [[10, "b"]]],
  [
    "[a::5]",
    [
      [5, "a"],
      [10, ""],
    ],
  ],
  [
    "[a: b :0.25 ]",
    [
      [2, "a"],
      [10, " b "],
    ],
  ],
  [
    "([a:b:0.5]:1.2)",
    [
      [5, "(a:1.2)"],
      [10, "(b:1.2)"],
    ],
  ],
  [
    "[[a:b:2]:c:6]",
    [
      [2, "a"],
      [6, "b"],
      [10, "c"],
    ],
  ],
  ["[a:b]", [[10, "[a:b]"]]],
  ["a [unbalanced", [[10, "a [unbalanced"]]],
  [String.raw`a \[b:3]`, [[10, String.raw`a \[b:3]`]]],
  ["[a:b:3]\\", [[10, "[a:b:3]\\"]]],
  ["[a:b:3] | c", [[10, "[a:b:3] | c"]]],
  [
    "((a][:b:c [d:3]",
    [
      [3, "((a][:b:c "],
      [10, "((a][:b:c d"],
    ],
  ],
])("follows the edits of %j", (prompt, entries) => {
  expect(schedule(prompt)).toEqual(entries);
});

describe("alternation", () => {
  it("takes the options in turn, empty ones too", () => {
    expect(schedule("[a|b|c]", 5)).toEqual([
      [1, "a"],
      [2, "b"],
      [3, "c"],
      [4, "a"],
      [5, "b"],
    ]);
    expect(schedule("[fe|]male", 3)).toEqual([
      [1, "female"],
      [2, "male"],
      [3, "female"],
    ]);
    expect(schedule("[|||]", 2)).toEqual([
      [1, ""],
      [2, ""],
    ]);
  });

  it("nests in edits and holds them", () => {
    expect(schedule("[[a|b]:c:2]", 3)).toEqual([
      [1, "a"],
      [2, "b"],
      [3, "c"],
    ]);
    expect(schedule("[[a:b:2]|c]", 4)).toEqual([
      [1, "a"],
      [2, "c"],
      [3, "b"],
      [4, "c"],
    ]);
  });
});

it("counts a hires pass on from the first", () => {
  const options = { hiresSteps: 10 };
  expect(schedule("[a:b:0.5]", 10, options)).toEqual([[10, "b"]]);
  expect(schedule("[a:b:1.5]", 10, options)).toEqual([
    [5, "a"],
    [10, "b"],
  ]);
  expect(schedule("[a:b:15]", 10, options)).toEqual([
    [5, "a"],
    [10, "b"],
  ]);
  expect(schedule("[a:b:5]", 10, options)).toEqual([[10, "b"]]);
});

it("has the old rule: below 1 a share, else a step", () => {
  expect(schedule("[a:b:0.5]", 10, { oldRule: true })).toEqual([
    [5, "a"],
    [10, "b"],
  ]);
  expect(schedule("[a:b:5.5]", 10, { oldRule: true })).toEqual([
    [5, "a"],
    [10, "b"],
  ]);
});

it.each([0, -1, 1.5, Number.NaN])("refuses %d steps", (steps) => {
  expect(() => promptSchedule("a", steps)).toThrow(/steps is .* a whole number of at least 1/);
});

it("holds an entry for one call more than its end says", () => {
  const entries = promptSchedule("[a:b:3]", 10);
  expect(Array.from({ length: 10 }, (_, call) => entryAt(entries, call).text).join("")).toBe("aaaabbbbbb");
});

const piece = fc.constantFrom("(", ")", "[", "]", ":", "|", ":3]", ":.5]", "[a|b]", "[c:d:4]", "\\", "\\[", "e", "f ", "2");
const prompts = fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join(""));

it("has ends in order, the last the number of steps, for any text", () => {
  fc.assert(
    fc.property(fc.oneof(prompts, fc.string({ unit: "binary" })), fc.integer({ min: 1, max: 30 }), (prompt, steps) => {
      const ends = promptSchedule(prompt, steps).map(({ end }) => end);
      expect(ends).toEqual([...new Set(ends)].sort((one, other) => one - other));
      expect(ends.at(-1)).toBe(steps);
      expect(ends[0]).toBeGreaterThanOrEqual(1);
    }),
  );
});

/** A prompt and what it says at a step of 10, made together. */
const { tree } = fc.letrec<{ tree: readonly [string, (step: number) => string] }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom("a", "b c", "\\[", "é").map((text) => [text, () => text] as const),
    fc
      .tuple(tie("tree"), tie("tree"))
      .map(([one, other]) => [one[0] + other[0], (step: number) => one[1](step) + other[1](step)] as const),
    fc.tuple(tie("tree")).map(([[text, at]]) => [`(${text}:1.2)`, (step: number) => `(${at(step)}:1.2)`] as const),
    fc
      .tuple(tie("tree"), tie("tree"), fc.integer({ min: 0, max: 12 }))
      .map(
        ([from, to, when]) => [`[${from[0]}:${to[0]}:${when}]`, (step: number) => (step <= when ? from : to)[1](step)] as const,
      ),
    fc
      .array(tie("tree"), { minLength: 2, maxLength: 4 })
      .map(
        (all) => [`[${all.map(([text]) => text).join("|")}]`, (step: number) => all[(step - 1) % all.length]![1](step)] as const,
      ),
  ),
}));

it("says at each step what a well-formed prompt means", () => {
  fc.assert(
    fc.property(tree, ([prompt, at]) => {
      const entries = promptSchedule(prompt, 10);
      for (let step = 1; step <= 10; step++) expect(entries.find(({ end }) => step <= end)?.text).toBe(at(step));
    }),
  );
});
