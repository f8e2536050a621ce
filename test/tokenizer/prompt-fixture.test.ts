import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { promptRow } from "../../tokenizer/prompt/index.ts";
import { skipped } from "../skip.ts";

const fixture = new URL("../../../shared/fixtures/prompts.json", import.meta.url);
const missing = !existsSync(fixture);

it.skipIf(skipped("the 252 reference prompts", missing && "no ../shared/fixtures/prompts.json"))(
  "gives weights, schedules and parts of all 252 reference prompts",
  () => {
    const { rows } = JSON.parse(readFileSync(fixture, "utf8")) as { rows: { prompt: string }[] };
    expect(rows.length).toBe(252);
    expect(rows.map(({ prompt }) => promptRow(prompt))).toEqual(rows);
  },
);
