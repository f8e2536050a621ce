import { existsSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it, as `mkdir -p`; one that is there will do. Node's `recursive` never returns where a file system says
 * ENOENT because nothing can be made in it (/proc, an automounter's folder). Throws the system's error, EEXIST for a file in its place.
 */
export async function makeFolders(path: string): Promise<void> {
  const above = dirname(path);
  if (above !== path && !existsSync(above)) await makeFolders(above);
  try {
    await mkdir(path);
  } catch (error) {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
