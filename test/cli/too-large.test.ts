import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { limn } from "./limn.ts";

test("row 38: a legal size that can't fit is refused before anything is loaded, and nothing is written", async () => {
  const folder = mkdtempSync(join(tmpdir(), "limn-"));
  const { code, stderr } = await limn(["a red fox", "-W", "16384", "-H", "16384"], { cwd: folder });
  expect(code).toBe(6);
  expect(stderr).toMatch(/error\[PICTURE_TOO_LARGE\]: 16384x16384 does not fit here: .*\d+ bytes.*\d+/);
  expect(stderr).toMatch(/hint: /);
  expect(readdirSync(folder)).toEqual([]);
});
