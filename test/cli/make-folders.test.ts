/** @file Folders and those above them. */
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeFolders } from "../../cli/files/make-folders.ts";
import { skipped } from "../skip.ts";
import { temporaryFolder } from "./limn.ts";

const at = temporaryFolder();

it("makes what is missing, and leaves what is there", async () => {
  const deep = join(at, "a", "b", "c");
  await makeFolders(deep);
  writeFileSync(join(deep, "kept"), "");
  await makeFolders(deep);
  symlinkSync("a", join(at, "link"));
  await makeFolders(join(at, "link", "b", "d"));
  expect([statSync(join(at, "a", "b", "d")).isDirectory(), existsSync(join(deep, "kept"))]).toEqual([true, true]);
  await makeFolders("/");
});

it("makes those of many at once", async () => {
  const paths = Array.from({ length: 20 }, (_, i) => join(at, "many", "below", String(i % 2)));
  await Promise.all(paths.map(makeFolders));
  expect(paths.every((path) => statSync(path).isDirectory())).toBe(true);
});

it("a file in the way is EEXIST, above it ENOTDIR", async () => {
  mkdirSync(join(at, "e"));
  writeFileSync(join(at, "e", "file"), "");
  await expect(makeFolders(join(at, "e", "file"))).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolders(join(at, "e", "file", "below"))).rejects.toMatchObject({ code: "ENOTDIR" });
  symlinkSync("nowhere", join(at, "e", "dangling"));
  await expect(makeFolders(join(at, "e", "dangling"))).rejects.toMatchObject({ code: "EEXIST" });
});

it.skipIf(skipped("a folder where nothing can be made", !existsSync("/proc/version") && "no /proc"))(
  "comes back from a file system in which nothing can be made, where Node's own mkdir turns for ever",
  async () => {
    await expect(makeFolders("/proc/limn/folder")).rejects.toMatchObject({
      code: expect.stringMatching(/^(ENOENT|EACCES|EPERM)$/),
    });
  },
);
