import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { precisionCache } from "../../cli/models/precision-cache.ts";

const before = process.env["XDG_CACHE_HOME"];
let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "limn-precision-"));
  process.env["XDG_CACHE_HOME"] = home;
});
afterEach(() => {
  rmSync(home, { recursive: true });
  if (before === undefined) delete process.env["XDG_CACHE_HOME"];
  else process.env["XDG_CACHE_HOME"] = before;
});

const [one, other] = ["1".repeat(64), "2".repeat(64)] as const;

test("remembers by checkpoint, and adds up", async () => {
  expect(await precisionCache.recall(one)).toEqual([]);
  await precisionCache.remember(one, ["vae"]);
  await precisionCache.remember(other, ["text"]);
  await precisionCache.remember(one, ["unet"]);
  expect(await precisionCache.recall(one)).toEqual(["vae", "unet"]);
  expect(await precisionCache.recall(other)).toEqual(["text"]);
  expect(readdirSync(join(home, "limn"))).toEqual(["precision.json"]);
});

test.each(["", "null", "[1]", '{"short":["vae"]}', `{"${one}":"vae"}`, `{"${one}":[1]}`])(
  "a file of %j counts as empty",
  async (text) => {
    mkdirSync(join(home, "limn"));
    writeFileSync(join(home, "limn", "precision.json"), text);
    expect(await precisionCache.recall(one)).toEqual([]);
    await precisionCache.remember(one, ["vae"]);
    expect(await precisionCache.recall(one)).toEqual(["vae"]);
  },
);

test("keeps the newest 256", async () => {
  const hash = (i: number) => i.toString(16).padStart(64, "0");
  const all = Object.fromEntries(Array.from({ length: 256 }, (_, i) => [`a${hash(i).slice(1)}`, ["vae"]]));
  mkdirSync(join(home, "limn"));
  writeFileSync(join(home, "limn", "precision.json"), JSON.stringify(all));
  await precisionCache.remember(one, ["vae"]);
  expect(Object.keys(JSON.parse(readFileSync(join(home, "limn", "precision.json"), "utf8")))).toHaveLength(256);
  expect(await precisionCache.recall(one)).toEqual(["vae"]);
});

test("a cache that can't be written to is no error", async () => {
  process.env["XDG_CACHE_HOME"] = "/dev/null";
  await precisionCache.remember(one, ["vae"]);
  expect(await precisionCache.recall(one)).toEqual([]);
});
