import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { build, errorLines, limn, temporaryFolder } from "./limn.ts";

describe("limn tokenize", () => {
  beforeAll(build);
  const folder = temporaryFolder();
  const written = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  it("gives the ids of a text, for people and as JSON", async () => {
    const [text, json] = await Promise.all([limn(["tokenize", "a red fox"]), limn(["tokenize", "a red fox", "--json"])]);
    expect(text.stdout.toString()).toBe('  320  "a"\n  736  "red"\n 3240  "fox"\n3 tokens\n');
    expect(json.stdout.toString()).toBe("[320,736,3240]\n");
  });

  it("gives an array for every string of a file, neither cut nor padded, odd characters too (fault 35)", async () => {
    const strings = ["", "a red fox", "fox ".repeat(200), "\ud800 lone", "nul\0\u202eright to left", "👩‍👩‍👧 é e\u0301 &amp;"];
    const { code, stdout } = await limn(["tokenize", "--file", written("strings.json", JSON.stringify(strings)), "--json"]);
    const tokenizer = new ClipTokenizer();
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toEqual(strings.map((text) => tokenizer.encode(text)));
  });

  it("refuses a file that is no text, or larger than any string", async () => {
    const latin = join(folder, "latin.json");
    writeFileSync(latin, Buffer.from('["f\u00fcchse"]', "latin1"));
    const huge = written("huge.json", "");
    truncateSync(huge, 3 * 2 ** 30); // no bytes on disk
    for (const file of [latin, huge]) {
      const { code, stderr } = await limn(["tokenize", "--file", file]);
      expect([code, errorLines(stderr).code]).toEqual([2, "TEXT_FILE"]);
    }
  });

  it.each([
    ["INVALID_FILE", ["--file", "object.json"], '{"a": 1}'],
    ["INVALID_FILE", ["--file", "numbers.json"], "[1]"],
    ["INVALID_FILE", ["--file", "cut.json"], '["a'],
    ["PROMPT_TOO_LONG", ["--file", "long.json"], JSON.stringify(["a".repeat(65_537)])],
    ["OPTIONS_CONFLICT", ["a", "--file", "both.json"], "[]"],
  ])("refuses with %s: %j", async (expected, args, content) => {
    const words = args.map((word) => (word.endsWith(".json") ? written(word, content) : word));
    const { code, stderr } = await limn(["tokenize", ...words]);
    expect([code, errorLines(stderr).code]).toEqual([2, expected]);
  });
});
