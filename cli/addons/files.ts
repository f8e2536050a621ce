/** @file The add-ons of a folder by name: LoRAs, textual inversions, hypernetworks. Names come from the listing alone, so that a prompt can't name a path. */
import { readdir, realpath } from "node:fs/promises";
import { basename, extname, join, sep } from "node:path";
import { FileSystemError } from "../../engine/errors.ts";
import { printable } from "../../model/checkpoint/printable.ts";

export interface AddonFile {
  /** The file's name without folder and ending. */
  readonly name: string;
  readonly path: string;
}

/** Entries looked at in all, and folders in folders. */
const maxEntries = 100_000;
const maxDepth = 8;

/**
 * The files with one of these endings (".safetensors") in a folder and the folders in it, sorted by path; of one name the first. Links are
 * followed as long as they stay in the folder.
 * @throws FileSystemError FS_NOT_FOUND, FS_READ
 */
export async function listAddons(folder: string, endings: readonly string[]): Promise<AddonFile[]> {
  const root = await realpath(folder).catch((cause: unknown) => refuse(folder, cause));
  const found = new Map<string, AddonFile>();
  let entries = 0;
  const visit = async (at: string, depth: number): Promise<void> => {
    const listed = await readdir(at, { withFileTypes: true }).catch((cause: unknown) => {
      if (depth === 0) refuse(folder, cause);
      return []; // a folder inside that may not be read
    });
    for (const entry of listed.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (++entries > maxEntries) return;
      const path = join(at, entry.name);
      const real = entry.isSymbolicLink() ? await realpath(path).catch(() => "") : path;
      if (entry.isSymbolicLink() && !real.startsWith(root.endsWith(sep) ? root : root + sep)) continue;
      const ending = extname(entry.name);
      const name = basename(entry.name, ending);
      if (endings.includes(ending.toLowerCase())) {
        if (!entry.isDirectory() && !found.has(name)) found.set(name, { name, path: real });
      } else if (entry.isDirectory() && depth < maxDepth) await visit(path, depth + 1);
    }
  };
  await visit(root, 0);
  return [...found.values()];
}

function refuse(folder: string, cause: unknown): never {
  const missing = cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR");
  throw new FileSystemError(
    missing ? "FS_NOT_FOUND" : "FS_READ",
    `${printable(folder, 4096)}: ${missing ? "no such folder" : "the folder can't be read"}`,
    {
      hint: "pass a folder with add-on files",
      context: { path: folder },
      cause,
    },
  );
}
