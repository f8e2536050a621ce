import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { picturesOf } from "../../cli/pictures/batches.ts";
import { readPromptList } from "../../cli/pictures/prompt-list.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import type { PictureOptions, Txt2imgOptions } from "../../cli/syntax/options.ts";
import { splitWords } from "../../cli/syntax/words.ts";
import type { LimnError } from "../../engine/errors.ts";
import { temporaryFolder } from "./limn.ts";

vi.mock(import("../../cli/version.ts"), () => ({ packageVersion: "0" }));

const folder = temporaryFolder();
let files = 0;

async function list(text: string, ...words: string[]): Promise<PictureOptions[]> {
  const file = join(folder, `${files++}.txt`);
  writeFileSync(file, text);
  const { options } = parseArguments([...words, "--prompts", file], "0") as { options: Txt2imgOptions };
  return (await readPromptList(options.prompts!)).map((line) => line.options);
}

function pictures(...words: string[]): Txt2imgOptions {
  return (parseArguments(words, "0") as { options: Txt2imgOptions }).options;
}

describe("a list of prompts", () => {
  it("takes a prompt a line, with the command's options, and leaves out blank lines and comments", async () => {
    const lines = await list('a red fox\n\n# not this\r\n  a cat, "sitting"  \n', "--steps", "8", "--seed", "5", "-n", "blur");
    expect(lines.map(({ prompt, steps, seed, negative }) => [prompt, steps, seed, negative])).toEqual([
      ["a red fox", 8, 5n, "blur"],
      ['a cat, "sitting"', 8, 5n, "blur"],
    ]);
  });

  it("takes options, by limn's names and by A1111's", async () => {
    const lines = await list(
      [
        '--prompt "a red fox" --steps 12 --guidance 3',
        '--prompt a cat on a mat --negative_prompt dog --cfg_scale 7.5 --sampler_name "DPM++ 2M Karras" --width 64 --height 128 --seed 9',
        "--prompt 'it''s' --batch_size 2 --n_iter 3 --subseed 4 --subseed_strength 0.5 --tiling true",
        "--steps 4",
        "-n=x --prompt y",
        '--prompt a cat-like dog - really -s 3 -n "sad, old" -g 2',
      ].join("\n"),
      "a dog",
      "--seed",
      "1",
    );
    expect(lines[0]).toMatchObject({ prompt: "a red fox", steps: 12, guidance: 3, seed: 1n });
    expect(lines[1]).toMatchObject({
      prompt: "a cat on a mat",
      negative: "dog",
      guidance: 7.5,
      width: 64,
      height: 128,
      seed: 9n,
    });
    expect(lines[1]!.sampler).toBe("DPM++ 2M Karras");
    expect(lines[2]).toMatchObject({ prompt: "its", batch: 2, count: 3, variation: { seed: 4n, strength: 0.5 }, tiling: true });
    expect(lines[3]).toMatchObject({ prompt: "a dog", steps: 4 });
    expect(lines[4]!.prompt).toBe("y");
    expect(lines[5]).toMatchObject({ prompt: "a cat-like dog - really", steps: 3, negative: "sad, old", guidance: 2 });
  });

  it("works behind a prompt that begins with dashes", async () => {
    const file = join(folder, "dashes.txt");
    writeFileSync(file, "--steps 3\n");
    const { options } = parseArguments(["--prompts", file, "--", "--odd"], "0") as { options: Txt2imgOptions };
    expect((await readPromptList(options.prompts!))[0]!.options).toMatchObject({ prompt: "--odd", steps: 3 });
  });

  const faults: readonly (readonly [text: string, code: string, message: RegExp])[] = [
    ["a fox\n--prompt b --steps ten\n", "INVALID_STEPS", /txt, line 2: --steps: "ten"/],
    ["a fox\n\n--prompt b --stpes 10", "UNKNOWN_OPTION", /txt, line 3: there is no option --stpes/],
    ['--prompt "b', "UNCLOSED_QUOTE", /line 1: a quote/],
    ["--prompt b --tier f32", "RUN_OPTION", /line 1: --tier is for the whole run/],
    ["--prompt b --help", "RUN_OPTION", /line 1: --help/],
    ["--steps 3", "MISSING_ARGUMENT", /line 1: .*no --prompt/],
    ["--prompt b --sampler eulr", "UNKNOWN_SAMPLER", /line 1: /],
    ["a <lora:x:y:z:w:1:2:3>", "INVALID_PROMPT_TAG", /line 1: /],
    ["# nothing\n\n", "NO_PROMPTS", /holds no prompt/],
  ];
  it.each(faults)("refuses %j", async (text, code, message) => {
    const error = (await list(text).catch((thrown: unknown) => thrown)) as LimnError;
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });

  it("cuts a line as a shell does", () => {
    expect(splitWords(`a "b c" 'd "e' f\\ g "h\\"i" '' x"y"z`)).toEqual(["a", "b c", 'd "e', "f g", 'h"i', "", "xyz"]);
  });
});

describe("--count", () => {
  const seeds = (...words: string[]) =>
    picturesOf(pictures("a", ...words)).map(({ options, batch }) => [options.seed, batch.index, options.variation?.seed]);

  it("goes on with the seed from batch to batch, and from picture to picture", () => {
    expect(seeds("--seed", "7", "--count", "3")).toEqual([
      [7n, 0, undefined],
      [8n, 0, undefined],
      [9n, 0, undefined],
    ]);
    expect(seeds("--seed", "7", "--count", "2", "-b", "2").map(([seed, index]) => [seed, index])).toEqual([
      [7n, 0],
      [7n, 1],
      [9n, 0],
      [9n, 1],
    ]);
    expect(seeds("--seed", "18446744073709551615", "--count", "2").map(([seed]) => seed)).toEqual([18446744073709551615n, 0n]);
  });

  it("goes on with the variation's seed where there is one", () => {
    expect(seeds("--seed", "7", "--variation-seed", "3", "--variation-strength", "0.5", "--count", "2")).toEqual([
      [7n, 0, 3n],
      [7n, 0, 4n],
    ]);
  });

  it("takes another batch by the next seed where one generator draws for a batch", () => {
    expect(seeds("--seed", "7", "--compat", "comfy", "--count", "2", "-b", "2").map(([seed]) => seed)).toEqual([7n, 7n, 8n, 8n]);
  });

  it.each([
    [["--count", "0"], "INVALID_COUNT"],
    [["--count", "1001"], "INVALID_COUNT"],
    [["--count", "2", "-o", "-"], "OPTIONS_CONFLICT"],
    [["--prompts", "x", "-o", "-"], "OPTIONS_CONFLICT"],
    [["--count", "2", "--noise", "x"], "OPTIONS_CONFLICT"],
  ] as const)("refuses %j (fault 43)", (words, code) => {
    expect(() => pictures("a", ...words)).toThrow(expect.objectContaining({ code }));
  });
});
