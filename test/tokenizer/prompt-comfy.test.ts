import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClipTokenizer, endToken, startToken } from "../../tokenizer/index.ts";
import { type Chunk, comfyChunks, comfyPlan, parseComfyWeights } from "../../tokenizer/prompt/index.ts";

const tokenizer = new ClipTokenizer();
const [cat, dog, comma] = [2368, 1929, 267];
const tokens = ({ ids, tokens: count }: Chunk) => [...ids.subarray(1, 1 + count)];

/** Derived by hand from ComfyUI's rule: outermost pairs first, then what is in them; a number replaces the weight, else it is 1.1 times. */
const vectors: readonly (readonly [prompt: string, stretches: readonly (readonly [text: string, weight: number])[]])[] = [
  ["", []],
  ["()", []],
  [
    "a (b) c",
    [
      ["a ", 1],
      ["b", 1.1],
      [" c", 1],
    ],
  ],
  ["((a))", [["a", 1.1 * 1.1]]],
  ["(a:1.5)", [["a", 1.5]]],
  ["((a:1.5))", [["a", 1.5]]],
  [
    "((a) b:1.5)",
    [
      ["a", 1.5 * 1.1],
      [" b", 1.5],
    ],
  ],
  [
    "((a:1.2) b:1.5)",
    [
      ["a", 1.2],
      [" b", 1.5],
    ],
  ],
  ["(a:b:1.2)", [["a:b", 1.2]]],
  ["(a:b)", [["a:b", 1.1]]],
  ["(:1.5)", [[":1.5", 1.1]]],
  ["(a: 1.2 )", [["a", 1.2]]],
  ["(a:1e1)", [["a", 10]]],
  ["(a:-0.5)", [["a", -0.5]]],
  ["(a:1.2.3)", [["a:1.2.3", 1.1]]],
  ["[a] {b}", [["[a] {b}", 1]]],
  ["a BREAK b AND c # d <lora:x:1>", [["a BREAK b AND c # d <lora:x:1>", 1]]],
  [
    String.raw`\(a\) (b\):1.3)`,
    [
      ["(a) ", 1],
      ["b)", 1.3],
    ],
  ],
  ["(a", [["(a", 1]]],
  ["((a)", [["(a", 1.1]]],
  ["a) (b)", [["a) (b)", 1]]],
];

describe("weights", () => {
  it.each(vectors)("%j", (prompt, stretches) => {
    const read = parseComfyWeights(prompt);
    expect(read.map(([text]) => text)).toEqual(stretches.map(([text]) => text));
    for (const [i, [, weight]] of stretches.entries()) expect(read[i]![1]).toBeCloseTo(weight, 12);
  });

  it("are read quickly from the longest prompts there are", () => {
    for (const hostile of [
      "(".repeat(65_536),
      "(".repeat(32_768) + ")".repeat(32_768),
      "()".repeat(32_768),
      ":".repeat(65_536),
      `(a:${"1".repeat(65_531)}x)`,
    ]) {
      // In processor time: the machine may be busy with other tests.
      const begin = process.cpuUsage();
      if (hostile.includes("((") && hostile.includes("))")) {
        expect(() => parseComfyWeights(hostile)).toThrow(expect.objectContaining({ code: "PROMPT_NESTING" }));
      } else parseComfyWeights(hostile);
      expect(process.cpuUsage(begin).user / 1000).toBeLessThan(250); // 50 on an idle machine
    }
  });

  it("keep every character but brackets, escapes and numbers", () => {
    const texts = fc.string({ unit: fc.constantFrom("a", " ", "(", ")", "[", ",") });
    fc.assert(
      fc.property(texts, (prompt) => {
        const kept = parseComfyWeights(prompt)
          .map(([text]) => text)
          .join("");
        expect(kept.replace(/[()]/g, "")).toBe(prompt.replace(/[()]/g, ""));
      }),
    );
  });
});

describe("chunks", () => {
  it("are one for an empty prompt", () => {
    const { chunks } = comfyChunks(tokenizer, "");
    expect(chunks.map(({ ids }) => [...ids])).toEqual([[startToken, ...Array(76).fill(endToken)]]);
  });

  it("give each token its weight, and the rest 1", () => {
    const [chunk] = comfyChunks(tokenizer, "cat (dog:1.5)").chunks;
    expect(tokens(chunk!)).toEqual([cat, dog]);
    expect([...chunk!.weights]).toEqual([1, 1, 1.5, ...Array(74).fill(1)]);
  });

  it("keep a stretch of fewer than 8 tokens whole", () => {
    const { chunks } = comfyChunks(tokenizer, `${"cat ".repeat(70)}(${"dog ".repeat(7)}:1.2)`);
    expect(chunks.map(tokens)).toEqual([Array(70).fill(cat), Array(7).fill(dog)]);
    expect([...chunks[0]!.weights].every((weight) => weight === 1)).toBe(true);
  });

  it("cut a longer one where the chunk is full, commas or not", () => {
    const { chunks } = comfyChunks(tokenizer, `${"cat ".repeat(70)}(dog, ${"dog ".repeat(7)}:1.2)`);
    expect(chunks.map(tokens)).toEqual([
      [...Array(70).fill(cat), dog, comma, dog, dog, dog],
      [dog, dog, dog, dog],
    ]);
  });

  it("take a textual inversion by embedding:name, with or without the file's ending", () => {
    const embeddings = [{ name: "foo", vectors: 3 }];
    for (const name of ["foo", "foo.safetensors", "foo.pt"]) {
      const { chunks, unknown } = comfyChunks(tokenizer, `cat (embedding:${name}, dog:1.2)`, { embeddings });
      expect(unknown).toEqual([]);
      expect(tokens(chunks[0]!)).toEqual([cat, 0, 0, 0, comma, dog]);
      expect([...chunks[0]!.weights.subarray(1, 7)]).toEqual([1, 1.2, 1.2, 1.2, 1.2, 1.2]);
      expect(chunks[0]!.embeddings).toEqual([{ name: "foo", vectors: 3, offset: 2, first: 0 }]);
    }
  });

  it("don't find a textual inversion by its bare name, and pass over one that nobody has", () => {
    const embeddings = [{ name: "cat", vectors: 3 }];
    expect(comfyChunks(tokenizer, "cat", { embeddings }).chunks[0]!.embeddings).toEqual([]);
    const { chunks, unknown } = comfyChunks(tokenizer, "dog embedding:bar, dog", { embeddings });
    expect(unknown).toEqual(["bar"]);
    expect(tokens(chunks[0]!)).toEqual([dog, comma, dog]);
  });

  it("cut a long textual inversion in two", () => {
    const embeddings = [{ name: "long", vectors: 12 }];
    const { chunks } = comfyChunks(tokenizer, `${"cat ".repeat(70)}\nembedding:long`, { embeddings });
    expect(chunks.map(({ embeddings: placed }) => placed)).toEqual([
      [{ name: "long", vectors: 5, offset: 71, first: 0 }],
      [{ name: "long", vectors: 7, offset: 1, first: 5 }],
    ]);
  });
});

describe("the plan", () => {
  it("has one text for all steps, no tags and no parts", () => {
    const plan = comfyPlan(tokenizer, "a AND [b:c:3] <lora:x:1>");
    expect([plan.parts.length, plan.texts.length, plan.tags, plan.emphasis]).toEqual([1, 1, [], "comfy"]);
    expect(plan.at(0)[0]!.chunks).toBe(plan.at(9)[0]!.chunks);
  });

  it("takes brackets for text with emphasis none", () => {
    const [chunk] = comfyPlan(tokenizer, "(cat:1.5)", { emphasis: "none" }).chunks("");
    expect(tokens(chunk!)).toEqual(tokenizer.encode("(cat:1.5)"));
    expect(chunk!.weights.every((weight) => weight === 1)).toBe(true);
  });
});
