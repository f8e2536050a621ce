/** @file Small JSON files in the user's cache folder. Nothing in them is worth failing for: what can't be read or written is found out again. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { makeFolders } from "./make-folders.ts";

function pathOf(name: string): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "limn", name);
}

/** What the file holds by key, of any kind: anybody may have written it. */
export async function readUserCache(name: string): Promise<Record<string, unknown>> {
  try {
    const content: unknown = JSON.parse(await readFile(pathOf(name), "utf8"));
    return typeof content === "object" && content !== null ? { ...content } : {};
  } catch {
    return {};
  }
}

/** Writes the last `most` of these entries, whole or not at all. */
export async function writeUserCache(
  name: string,
  entries: readonly (readonly [string, unknown])[],
  most: number,
): Promise<void> {
  try {
    const path = pathOf(name);
    await makeFolders(dirname(path));
    await writeFile(`${path}.tmp-${process.pid}`, JSON.stringify(Object.fromEntries(entries.slice(-most))));
    await rename(`${path}.tmp-${process.pid}`, path);
  } catch {
    // A home that can't be written to.
  }
}
