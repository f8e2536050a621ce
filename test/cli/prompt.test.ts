import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { planPrompt, promptRow } from "../../tokenizer/prompt/index.ts";
import { build, errorLines, limn, root, temporaryFolder } from "./limn.ts";

describe("limn prompt", () => {
  beforeAll(build);
  const folder = temporaryFolder();

  test("explains parts, schedule and tokens", async () => {
    const { code, stdout } = await limn([
      "prompt",
      "a [cat:dog:0.5] AND (fox:1.3) :0.5 <lora:x:0.8>",
      "--explain",
      "--steps",
      "4",
    ]);
    expect(code).toBe(0);
    const lines = stdout.toString().split("\n");
    expect(lines.slice(0, 10)).toEqual([
      'LoRA "x": 0.8 in the text encoder, 0.8 in the U-Net',
      "part 1 of 2, weight 1, 4 steps",
      '  1-2        "a cat"',
      '  3-4        "a dog"',
      "  in model calls (each text gives way one call after its last step, as in the web UI):",
      '  1-3        "a cat"',
      '  4          "a dog"',
      "part 2 of 2, weight 0.5, 4 steps",
      '  1-4        " (fox:1.3)"',
      "heun, dpm_2, dpm_2_ancestral, dpmpp_2s_ancestral, dpmpp_sde, restart ask the model twice a step and count 8 calls: --sampler heun shows when the text changes there",
    ]);
  });

  test("counts the calls of a sampler that asks twice a step, as the denoiser is told", async () => {
    const { stdout } = await limn(["prompt", "[a|b] [c:d:0.5]", "--explain", "--json", "--steps", "3", "--sampler", "Heun"]);
    const { calls, parts } = JSON.parse(stdout.toString());
    expect(calls).toBe(6);
    const plan = planPrompt(new ClipTokenizer(), "[a|b] [c:d:0.5]", 6);
    const texts = Array.from({ length: 6 }, (_, call) => plan.at(call)[0]!.text);
    const told = (parts[0].calls as { text: string; first: number; last: number }[]).flatMap(({ text, first, last }) =>
      Array.from({ length: last - first + 1 }, () => text),
    );
    expect(told).toEqual(texts);
    expect(new Set(texts).size).toBeGreaterThan(2);
  });

  test("shows where a textual inversion stands", async () => {
    const fixtures = join(root, "test", "fixtures", "pickle");
    const { code, stdout } = await limn(["prompt", "a (kohya:1.2) cat", "--explain", "--embedding-dir", fixtures]);
    expect(code).toBe(0);
    expect(stdout.toString().split("\n").slice(-7, -1)).toEqual([
      'chunk 1 of 1 of "a (kohya:1.2) cat": 5 of 75 tokens',
      '    320  1         "a"',
      '      -  1.2       "kohya": vector 1 of 3',
      '      -  1.2       "kohya": vector 2 of 3',
      '      -  1.2       "kohya": vector 3 of 3',
      '   2368  1         "cat"',
    ]);
    const refused = await limn(["prompt", "a cat", "--embedding-dir", join(folder, "none")]);
    expect([refused.code, errorLines(refused.stderr).code]).toEqual([4, "FS_NOT_FOUND"]);
  });

  test("gives the same as JSON", async () => {
    const { stdout } = await limn(["prompt", "a (cat:1.5)", "--explain", "--json"]);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      steps: 20,
      parts: [{ weight: 1, schedule: [{ end: 20, text: "a (cat:1.5)" }] }],
      texts: [
        {
          attention: [
            ["a ", 1],
            ["cat", 1.5],
          ],
          chunks: [
            {
              tokens: [
                { id: 320, text: "a", weight: 1 },
                { id: 2368, text: "cat", weight: 1.5 },
              ],
            },
          ],
        },
      ],
    });
  });

  test("gives a row for every prompt of a file", async () => {
    const prompts = ["a (b)", "(x:1.2.3)", "[a|b] AND c:2"];
    const file = join(folder, "prompts.json");
    writeFileSync(file, JSON.stringify(prompts));
    const { code, stdout } = await limn(["prompt", "--file", file, "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toEqual(prompts.map((prompt) => promptRow(prompt)));
  });

  test.each([
    ["INVALID_PROMPT_TAG", ["<lora:../../x:1>"]],
    ["INVALID_PROMPT_WEIGHT", ["(x:1.2.3)", "--explain"]],
    ["PROMPT_NESTING", ["(".repeat(65), "--explain"]],
    ["PROMPT_TOO_LONG", ["a".repeat(65_537)]],
    ["MISSING_ARGUMENT", []],
    ["OPTIONS_CONFLICT", ["a", "--file", "b.json"]],
    ["OPTIONS_CONFLICT", ["--file", "b.json", "--steps", "3"]],
    ["OPTIONS_CONFLICT", ["--file", "b.json", "--sampler", "heun"]],
    ["INVALID_STEPS", ["a", "--steps", "0"]],
    ["UNKNOWN_SAMPLER", ["a", "--sampler", "hein"]],
  ])("refuses with %s", async (expected, args) => {
    const { code, stderr } = await limn(["prompt", ...args]);
    expect([code, errorLines(stderr).code]).toEqual([2, expected]);
  });
});
