import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readPngTexts } from "../../cli/png/png.ts";
import { build, errorLines, limn, temporaryFolder } from "./limn.ts";

const folder = temporaryFolder();
const quick = ["--steps", "1", "-W", "64", "-H", "64"];

describe("many pictures of one run", () => {
  beforeAll(build);

  it("makes those of a list from stdin, counted and styled, with one summary and numbered names", async () => {
    writeFileSync(join(folder, "styles.csv"), "name,prompt,negative_prompt\nplain,{prompt} on white,grey\n");
    const input = "a red fox\n--prompt a cat --count 2 --seed 5 --style plain\n";
    const ran = await limn(["--prompts", "-", "--seed", "3", ...quick, "-o", "many.png", "--json"], { cwd: folder, input });
    expect(ran.code).toBe(0);
    const { images } = JSON.parse(ran.stdout.toString());
    expect(images.map((image: { path: string; seed: number }) => [image.path, image.seed])).toEqual([
      ["many-1.png", 3],
      ["many-2.png", 5],
      ["many-3.png", 6],
    ]);
    const text = (name: string) => readPngTexts(readFileSync(join(folder, name))).get("parameters");
    expect(text("many-1.png")).toMatch(/^a red fox\nSteps: 1,.* Seed: 3,/);
    expect(text("many-3.png")).toMatch(/^a cat on white\nNegative prompt: grey\nSteps: 1,.* Seed: 6,/);
    // The second batch of a count is the picture that its own seed makes.
    const alone = await limn(["a cat", "--style", "plain", "--seed", "6", ...quick, "-o", "alone.png"], { cwd: folder });
    expect([alone.code, readFileSync(join(folder, "alone.png")).equals(readFileSync(join(folder, "many-3.png")))]).toEqual([
      0,
      true,
    ]);
  });

  it("refuses a bad line before anything is made, and lists styles", async () => {
    writeFileSync(join(folder, "list.txt"), "a fox\n--prompt b --steps 0\n");
    const before = readdirSync(folder).sort();
    const ran = await limn(["--prompts", "list.txt", "-m", "none.safetensors"], { cwd: folder });
    expect([ran.code, errorLines(ran.stderr).code, errorLines(ran.stderr).message]).toEqual([
      2,
      "INVALID_STEPS",
      expect.stringMatching(/^list\.txt, line 2: --steps: "0"/),
    ]);
    expect(readdirSync(folder).sort()).toEqual(before);
    writeFileSync(join(folder, "list.txt"), "a fox\n\n--prompt b --lora none.safetensors\n");
    const lora = await limn(["--prompts", "list.txt", ...quick], { cwd: folder });
    expect([lora.code, errorLines(lora.stderr).code, errorLines(lora.stderr).message]).toEqual([
      4,
      "FS_NOT_FOUND",
      expect.stringMatching(/^list\.txt, line 3: /),
    ]);
    expect(readdirSync(folder).sort()).toEqual(before);
    const styles = await limn(["styles", "--json"], { cwd: folder });
    expect(JSON.parse(styles.stdout.toString())).toEqual([{ name: "plain", prompt: "{prompt} on white", negative: "grey" }]);
  });
});
