/** @file The table in README.md: every fault has a test, and every test that it names is there. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const rows = read("test/reliability/README.md")
  .split("\n")
  .flatMap((line) => {
    const [, row = "", , file = "", name = ""] = /^\| (\d+) \| (.+) \| `(.+)` \| (.+) \|$/.exec(line) ?? [];
    return row === "" ? [] : [{ row: Number(row), file, name }];
  });

const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

test("has every row of model files, prompts, numbers, numerics, pictures, output, run control and GPU", () => {
  expect(rows.map(({ row }) => row)).toEqual([...from(1, 27), ...from(33, 78)]);
});

test.each(rows)("row $row: $name", ({ file, name }) => {
  expect(read(file)).toContain(name);
});
