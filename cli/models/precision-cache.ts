/** @file Remembers in the user's cache folder which stages of a checkpoint need f32, so that they overflow once and never again. */
import type { PrecisionMemory } from "../../model/precision-memory.ts";
import { readUserCache, writeUserCache } from "../files/user-cache.ts";

const cacheName = "precision.json";
/** Checkpoints remembered; the oldest go first. */
const mostRemembered = 256;

export const precisionCache: PrecisionMemory = {
  async recall(checkpoint) {
    return (await read())[checkpoint] ?? [];
  },
  async remember(checkpoint, stages) {
    // As it is now: a run beside this one may have added something.
    const { [checkpoint]: before = [], ...others } = await read();
    const entries = { ...others, [checkpoint]: [...new Set([...before, ...stages])] };
    await writeUserCache(cacheName, Object.entries(entries), mostRemembered);
  },
};

/** What is no list of words under a hash is left out. */
async function read(): Promise<Record<string, readonly string[]>> {
  const isWords = (value: unknown): value is string[] => Array.isArray(value) && value.every((word) => typeof word === "string");
  const known = Object.entries(await readUserCache(cacheName)).flatMap(([hash, stages]) =>
    /^[0-9a-f]{64}$/.test(hash) && isWords(stages) ? [[hash, stages] as const] : [],
  );
  return Object.fromEntries(known);
}
