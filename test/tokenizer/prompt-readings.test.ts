import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { promptSchedule } from "../../tokenizer/prompt/index.ts";

const { rows } = JSON.parse(readFileSync(new URL("../fixtures/prompt-readings.json", import.meta.url), "utf8")) as {
  rows: [prompt: string, schedule: [end: number, text: string][]][];
};

it.each(rows)("reads the brackets of %j as the web UI's parser does", (prompt, schedule) => {
  expect(promptSchedule(prompt, 10).map(({ end, text }) => [end, text])).toEqual(schedule);
});
