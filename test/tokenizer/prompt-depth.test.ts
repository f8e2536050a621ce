import { describe, expect, it } from "vitest";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { comfyPlan, maxDepth, type PromptPlan, planPrompt, promptRow } from "../../tokenizer/prompt/index.ts";

const tokenizer = new ClipTokenizer();
const a1111 = (prompt: string): PromptPlan => planPrompt(tokenizer, prompt, 4);
const comfy = (prompt: string): PromptPlan => comfyPlan(tokenizer, prompt);
const nested = (levels: number, [open, close] = "()") => `${open!.repeat(levels)}a${close!.repeat(levels)}`;

describe.each([
  ["A1111's", a1111],
  ["ComfyUI's", comfy],
])("by %s rules", (_, plan) => {
  it("brackets in 63 others are read", () => {
    const [{ chunks } = { chunks: [] }] = plan(nested(maxDepth)).at(0);
    expect(chunks[0]!.weights[1]).toBeCloseTo(1.1 ** maxDepth, 9);
  });

  it("one level more is refused, with both numbers and a way out", () => {
    expect(() => plan(nested(maxDepth + 1))).toThrow(
      expect.objectContaining({
        code: "PROMPT_NESTING",
        message: "prompt: brackets are 65 levels deep, the limit is 64",
        hint: expect.stringContaining("(word:1.3)") as string,
      }),
    );
    expect(() => plan(`b ${nested(3)} ${nested(500)} c`)).toThrow(/are 500 levels deep/);
  });

  it("brackets beside each other and escaped ones are no levels", () => {
    expect(plan(nested(2).repeat(200)).texts.length).toBe(1);
    expect(plan(`${"\\(".repeat(200)}a`).texts.length).toBe(1);
    expect(plan(`${")".repeat(200)} a`).texts.length).toBe(1);
  });
});

it("A1111's rules count round and square brackets together, and those that nothing closes, as they weigh", () => {
  expect(() => a1111(`${"(".repeat(40)}a${"[".repeat(25)}`)).toThrow(/are 65 levels deep/);
  expect(a1111(`${"(".repeat(40)}a${"[".repeat(24)}`).texts.length).toBe(1);
  expect(() => a1111("a sad man :( ".repeat(65))).toThrow(/are 65 levels deep/);
  expect(a1111("a sad man :( ".repeat(64)).texts.length).toBe(1);
});

it("brackets in comments and tags are not counted, nor where brackets are text", () => {
  expect(a1111(`a <lora:${"(".repeat(99)}:1> # ${"[".repeat(99)}`).texts).toEqual(["a"]);
  expect(planPrompt(tokenizer, nested(99), 4, { emphasis: "none" }).texts).toEqual([nested(99)]);
});

it("ComfyUI's rules count pairs only: what nothing closes is text, and square brackets are", () => {
  expect(comfy(`${"(".repeat(500)}a`).texts.length).toBe(1);
  expect(comfy(nested(500, "[]")).texts.length).toBe(1);
});

it("rows for the comparison with the web UI are given at any depth", () => {
  const prompt = nested(5000);
  expect(promptRow(prompt).attention).toEqual([["a", expect.any(Number)]]);
  expect(promptRow(prompt).schedule10).toEqual([[10, prompt]]);
});
