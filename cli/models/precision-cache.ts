/** @file Remembers in the user's cache folder which stages of a checkpoint need f32, so that they overflow once and never again. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { PrecisionMemory } from "../../model/precision-memory.ts";

/** Checkpoints remembered; the oldest go first. */
const mostRemembered = 256;

type Known = Record<string, readonly string[]>;

export const precisionCache: PrecisionMemory = {
  async recall(checkpoint) {
    return (await read())[checkpoint] ?? [];
  },
  async remember(checkpoint, stages) {
    try {
      // As it is now: a run beside this one may have added something.
      const { [checkpoint]: before = [], ...others } = await read();
      const entries = Object.entries({ ...others, [checkpoint]: [...new Set([...before, ...stages])] });
      const path = cacheFile();
      await mkdir(dirname(path), { recursive: true });
      await writeFile(`${path}.tmp-${process.pid}`, JSON.stringify(Object.fromEntries(entries.slice(-mostRemembered))));
      await rename(`${path}.tmp-${process.pid}`, path);
    } catch {
      // A home that can't be written to: the next run finds out again.
    }
  },
};

function cacheFile(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "limn", "precision.json");
}

/** What is no list of words under a hash is left out: anybody may have written the file. */
async function read(): Promise<Known> {
  try {
    const content: unknown = JSON.parse(await readFile(cacheFile(), "utf8"));
    const isWords = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every((word) => typeof word === "string");
    const entries = Object.entries(content as object).filter(([hash, stages]) => /^[0-9a-f]{64}$/.test(hash) && isWords(stages));
    return Object.fromEntries(entries) as Known;
  } catch {
    return {};
  }
}
