import { expect, it } from "vitest";
import { ClipTokenizer, PromptTooLongError } from "../../tokenizer/index.ts";
import { type Chunk, PromptError, planPrompt } from "../../tokenizer/prompt/index.ts";

const tokenizer = new ClipTokenizer();
const texts = (prompt: string, steps: number, call: number) =>
  planPrompt(tokenizer, prompt, steps)
    .at(call)
    .map(({ text }) => text);

it("goes through comments, tags, AND, schedule and chunks in this order", () => {
  const plan = planPrompt(tokenizer, "a [cat:dog:2]<lora:x:0.5> :1.2 AND b # <lora:y:1>", 4);
  expect(plan.loras).toEqual([{ name: "x", textEncoder: 0.5, unet: 0.5 }]);
  expect(plan.parts.map(({ text, weight }) => [text, weight])).toEqual([
    ["a [cat:dog:2]", 1.2],
    [" b", 1],
  ]);
  expect(plan.texts).toEqual(["a cat", "a dog", " b"]);
  expect(plan.at(3).map(({ text, weight }) => [text, weight])).toEqual([
    ["a dog", 1.2],
    [" b", 1],
  ]);
  expect([...plan.at(0)[0]!.chunks[0]!.ids.subarray(1, 4)]).toEqual([320, 2368, 49407]);
});

it("changes one call after the step that an edit names", () => {
  expect([0, 1, 2, 3].map((call) => texts("[a:b:2]", 4, call)[0])).toEqual(["a", "a", "a", "b"]);
});

it("cuts each text once, also across plans that share a cache", () => {
  const cache = new Map<string, readonly Chunk[]>();
  const plan = planPrompt(tokenizer, "[cat|dog] AND cat", 4, { cache });
  const [first, second] = plan.at(0);
  expect(plan.at(3)[0]!.chunks).toBe(first!.chunks);
  expect(plan.at(2)[0]!.chunks).not.toBe(first!.chunks);
  expect(second!.text).toBe(" cat");
  expect(planPrompt(tokenizer, "cat", 4, { cache }).at(0)[0]!.chunks).toBe(first!.chunks);
});

it("leaves AND and comments alone where asked to", () => {
  const plan = planPrompt(tokenizer, "a AND b # c:1.5", 4, { compose: false, comments: false });
  expect(plan.parts).toEqual([{ text: "a AND b # c:1.5", weight: 1, schedule: [{ end: 4, text: "a AND b # c:1.5" }] }]);
});

it("refuses what it cannot plan", () => {
  expect(() => planPrompt(tokenizer, "<lora:../../x:1>", 4)).toThrow(PromptError);
  expect(() => planPrompt(tokenizer, "a".repeat(65_537), 4)).toThrow(PromptTooLongError);
  expect(() => planPrompt(tokenizer, "a", 0)).toThrow(RangeError);
  expect(() => planPrompt(tokenizer, "a", 4).chunks("b")).toThrow(/a text that the plan does not have/);
  expect(() => planPrompt(tokenizer, "(a:1.2.3)", 4).at(0)).toThrow(PromptError);
});
