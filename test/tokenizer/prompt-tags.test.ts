import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loraTags, maxLoras, PromptError, removeComments, removeTags, splitParts } from "../../tokenizer/prompt/index.ts";

const loras = (prompt: string) => loraTags(removeTags(prompt).tags);

describe("tags", () => {
  it("are cut out, the blanks around them stay", () => {
    expect(removeTags("a <lora:x:0.8> b <hypernet:h>")).toEqual({
      text: "a  b ",
      tags: [
        { kind: "lora", arguments: ["x", "0.8"] },
        { kind: "hypernet", arguments: ["h"] },
      ],
    });
  });

  it.each(["<lora:>", "<lora>", "< lora:x>", "a < b: c >", "<lora:x", "<-:x>"])("leaves %j alone", (prompt) => {
    expect(removeTags(prompt)).toEqual({ text: prompt, tags: [] });
  });

  it("reach to the next closing bracket", () => {
    expect(removeTags("<lora:<b:c>>")).toEqual({ text: ">", tags: [{ kind: "lora", arguments: ["<b", "c"] }] });
  });
});

describe("LoRAs", () => {
  it.each<readonly [string, object]>([
    ["<lora:x>", { name: "x", textEncoder: 1, unet: 1 }],
    ["<lyco:x:0.5>", { name: "x", textEncoder: 0.5, unet: 0.5 }],
    ["<lora:x:0.5:-2:16>", { name: "x", textEncoder: 0.5, unet: -2, rank: 16 }],
    ["<lora:x:unet=0.25:te=.5:dyn=8>", { name: "x", textEncoder: 0.5, unet: 0.25, rank: 8 }],
    ["<lora:été [1] (v2) 猫:1>", { name: "été [1] (v2) 猫", textEncoder: 1, unet: 1 }],
    ["<lora:CON..:1>", { name: "CON..", textEncoder: 1, unet: 1 }],
  ])("reads %j", (prompt, tag) => {
    expect(loras(prompt)).toEqual([tag]);
  });

  it("adds the strengths of one that is named twice", () => {
    expect(loras("<lora:x:0.5><lora:y:1><lora:x:0.25:1>")).toEqual([
      { name: "x", textEncoder: 0.75, unet: 1.5 },
      { name: "y", textEncoder: 1, unet: 1 },
    ]);
  });

  const paths = ["../../x", "/etc/x", "a/b", "..\\x", "\\\\host\\x", "C\\x", "~", "~root", "x\0", ""];
  it.each(paths)("refuses the path %j", (name) => {
    expect(() => loraTags([{ kind: "lora", arguments: [name, "1"] }])).toThrow(PromptError);
    expect(() => loraTags([{ kind: "lora", arguments: [name, "1"] }])).toThrow(
      expect.objectContaining({ code: "INVALID_PROMPT_TAG" }),
    );
  });

  it.each(["", "NaN", "1e9", "1,0", "10.1", "-11", "Infinity", "0x1", "1 2"])("refuses the strength %j", (text) => {
    expect(() => loras(`<lora:x:${text}>`)).toThrow(/no strength for the LoRA "x"/);
    expect(() => loras(`<lora:x:1:unet=${text}>`)).toThrow(PromptError);
  });

  it.each(["0", "-1", "1.5", "a"])("refuses the rank %j", (text) => {
    expect(() => loras(`<lora:x:1:1:${text}>`)).toThrow(/no rank for the LoRA "x"/);
  });

  it(`takes ${maxLoras} and no more`, () => {
    const prompt = (count: number) => Array.from({ length: count }, (_, index) => `<lora:x${index}:1>`).join("");
    expect(loras(prompt(maxLoras)).length).toBe(maxLoras);
    expect(() => loras(prompt(maxLoras + 1))).toThrow(/more than 16 LoRAs/);
  });
});

it.each<readonly [string, readonly (readonly [string, number])[]]>([
  [
    "a AND b",
    [
      ["a", 1],
      [" b", 1],
    ],
  ],
  [
    "a :1.2 AND b :0.5 AND c",
    [
      ["a", 1.2],
      [" b", 0.5],
      [" c", 1],
    ],
  ],
  ["x:1.5", [["x", 1.5]]],
  ["x:-.5 \n", [["x", -0.5]]],
  ["x : + 5", [["x : + 5", 1]]],
  ["x:+5.", [["x", 5]]],
  ["x:1.2.3", [["x:1.2.3", 1]]],
  ["x 5", [["x 5", 1]]],
  ["x:1:2", [["x:1", 2]]],
  ["x:٣", [["x", 3]]],
  [
    "AND",
    [
      ["", 1],
      ["", 1],
    ],
  ],
  ["xAND ANDy éAND AND_", [["xAND ANDy éAND AND_", 1]]],
])("splits %j at AND", (prompt, parts) => {
  expect(splitParts(prompt).map(({ text, weight }) => [text, weight])).toEqual(parts);
});

it("removes comments to the end of the line", () => {
  expect(removeComments("a # b\nc")).toBe("a \nc");
  expect(removeComments("# a\n# b\nc #")).toBe("\n\nc \n");
  expect(removeComments("no comment")).toBe("no comment");
});

it("keeps every character that is in no tag", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("<", ">", ":", "lora", "x", " "), { maxLength: 30 }), (pieces) => {
      const prompt = pieces.join("");
      const { text, tags } = removeTags(prompt);
      const cut = tags.map(({ kind, arguments: list }) => `<${kind}:${list.join(":")}>`).join("");
      expect(text.length + cut.length).toBe(prompt.length);
      for (const tag of tags) expect(prompt).toContain(`<${tag.kind}:${tag.arguments.join(":")}>`);
    }),
  );
});
