/**
 * @file SHA-256 of a checkpoint, for the `Model hash` in a picture. Reading gigabytes takes longer than making a picture, so it is
 * remembered by path, size and time of change, and it is computed while the picture is made.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

const mostRemembered = 100;

/** The hash in hex. Nothing here is worth failing a picture for: undefined where the file can't be read any more. */
export async function modelHash(path: string, signal?: AbortSignal): Promise<string | undefined> {
  try {
    const absolute = resolve(path);
    const { size, mtimeMs } = await stat(absolute);
    const key = `${absolute} ${size} ${mtimeMs}`;
    const known = (await readCache())[key];
    if (known !== undefined) return known;
    const hash = await sha256(absolute, signal);
    await remember(key, hash);
    return hash;
  } catch {
    return undefined;
  }
}

async function sha256(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(part as Buffer);
  return hash.digest("hex");
}

function cacheFile(): string {
  const folder = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(folder, "limn", "hashes.json");
}

async function readCache(): Promise<Record<string, string>> {
  try {
    const content: unknown = JSON.parse(await readFile(cacheFile(), "utf8"));
    if (typeof content !== "object" || content === null) return {};
    return Object.fromEntries(Object.entries(content).filter(([, hash]) => /^[0-9a-f]{64}$/.test(String(hash))));
  } catch {
    return {};
  }
}

/** Adds to the cache as it is now; a run beside this one may have added too. */
async function remember(key: string, hash: string): Promise<void> {
  try {
    const entries = Object.entries({ ...(await readCache()), [key]: hash }).slice(-mostRemembered);
    const path = cacheFile();
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.tmp-${process.pid}`, JSON.stringify(Object.fromEntries(entries)));
    await rename(`${path}.tmp-${process.pid}`, path);
  } catch {
    // A home that can't be written to: the next run computes it again.
  }
}
