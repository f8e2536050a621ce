import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { skipped } from "../skip.ts";

const fixture = new URL("../../../shared/fixtures/tokenizer.json", import.meta.url);
const missing = !existsSync(fixture);

it.skipIf(skipped("the 380 reference prompts", missing && "no ../shared/fixtures/tokenizer.json"))(
  "gives the ids of all 380 reference prompts",
  () => {
    const { rows } = JSON.parse(readFileSync(fixture, "utf8")) as { rows: { text: string; ids: number[] }[] };
    const tokenizer = new ClipTokenizer();
    expect(rows.length).toBe(380);
    expect(rows.map(({ text }) => ({ text, ids: tokenizer.encode(text) }))).toEqual(rows);
  },
);
