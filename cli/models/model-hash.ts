/**
 * @file SHA-256 of models and what is added to them, for the hashes in a picture. Reading gigabytes takes longer than making a
 * picture, so they are remembered by path, size, time of change and inode (two files may change in one tick of the clock), and computed while the picture is made.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { readUserCache, writeUserCache } from "../files/user-cache.ts";
import type { Hashed } from "../metadata/recipe.ts";

const cacheName = "hashes.json";
const mostRemembered = 2000;

/**
 * The hash of a file, or of the part of it that `hashed` says, in hex. Nothing here is worth failing a picture for: undefined where
 * it can't be read.
 */
export async function fileHash(path: string, hashed: Hashed, signal?: AbortSignal): Promise<string | undefined> {
  try {
    const absolute = resolve(path);
    const found = await stat(absolute);
    if (!found.isFile()) return undefined; // a device may have no end
    const { size, mtimeMs, ino } = found;
    const key = `${hashed === "file" ? "" : `${hashed} `}${absolute} ${size} ${mtimeMs} ${ino}`;
    const known = (await readCache())[key];
    if (known !== undefined) return known;
    const hash = await sha256(absolute, await rangeOf(absolute, hashed), signal);
    await remember(key, hash);
    return hash;
  } catch {
    return undefined;
  }
}

interface ByteRange {
  readonly start?: number;
  /** The last byte. */
  readonly end?: number;
}

async function rangeOf(path: string, hashed: Hashed): Promise<ByteRange> {
  if (hashed === "part") return { start: 0x100000, end: 0x10ffff };
  if (hashed === "file" || !/\.safetensors$/i.test(path)) return {};
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(8), 0, 8, 0);
    return { start: 8 + Number(buffer.readBigUInt64LE(0)) };
  } finally {
    await file.close();
  }
}

async function sha256(path: string, range: ByteRange, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20, signal, ...range })) hash.update(part as Buffer);
  return hash.digest("hex");
}

async function readCache(): Promise<Record<string, string>> {
  const entries = Object.entries(await readUserCache(cacheName)).map(([key, hash]) => [key, String(hash)] as const);
  return Object.fromEntries(entries.filter(([, hash]) => /^[0-9a-f]{64}$/.test(hash)));
}

/** Adds to the cache as it is now; a run beside this one may have added too. */
async function remember(key: string, hash: string): Promise<void> {
  await writeUserCache(cacheName, Object.entries({ ...(await readCache()), [key]: hash }), mostRemembered);
}
