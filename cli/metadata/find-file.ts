/**
 * @file The file on this machine that a picture was made with, found by its name and proved by its hash. Names are tried first, as
 * a name costs nothing; then every file of the folders is hashed, which is remembered (see model-hash.ts).
 */
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { FileSystemError } from "../../engine/errors.ts";
import { printable } from "../../model/checkpoint/printable.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { openFile } from "../files/file-source.ts";
import { fileHash } from "../models/model-hash.ts";
import { stem } from "./a1111-text.ts";
import type { LoraReference } from "./recipe.ts";

export interface SearchOptions {
  /** In words: "LoRA". */
  readonly kind: string;
  readonly folders: readonly string[];
  /** Files to look at before the folders. */
  readonly files?: readonly string[] | undefined;
  /** The option that names the file or folder, for the hint. */
  readonly option: string;
  readonly signal?: AbortSignal | undefined;
  readonly note: (text: string) => void;
}

export interface Found {
  readonly path: string;
  /** The hash is the picture's; otherwise only the name is. */
  readonly proved: boolean;
}

const endings = /\.(safetensors|ckpt|pt|pth|bin)$/i;
const deepest = 6;
const mostFiles = 20_000;

/** @throws FileSystemError REPRODUCE_FILE */
export async function findFile(wanted: LoraReference, options: SearchOptions): Promise<Found> {
  const { folders, files = [], signal, note } = options;
  const candidates = [...new Set([...files, ...(await filesIn(folders))].map((path) => resolve(path)))].filter((path) =>
    endings.test(path),
  );
  const named = candidates.filter((path) => wanted.name !== undefined && sameName(path, wanted.name));
  if (wanted.hash === undefined) {
    if (named[0] !== undefined) return { path: named[0], proved: false };
    throw notFound(wanted, options, named.length);
  }
  const others = candidates.filter((path) => !named.includes(path));
  for (const path of named) if (await matches(path, wanted, signal)) return { path, proved: true };
  if (others.length > 0)
    note(`looking for the ${options.kind} by its hash in ${others.length} files (remembered for the next time)`);
  for (const path of others) if (await matches(path, wanted, signal)) return { path, proved: true };
  signal?.throwIfAborted();
  throw notFound(wanted, options, named.length);
}

/** Whether the file's hash is the wanted one, as far as that goes. */
export async function matches(
  path: string,
  { hash = "", hashed = "file" }: LoraReference,
  signal?: AbortSignal,
): Promise<boolean> {
  signal?.throwIfAborted();
  if (hash === "") return false;
  const found = await fileHash(path, hashed, signal);
  if (found?.startsWith(hash)) return true;
  return hashed === "weights" && ((await statedHash(path))?.startsWith(hash) ?? false);
}

/** The hash that a LoRA says it has; A1111 takes it for the true one. */
async function statedHash(path: string): Promise<string | undefined> {
  if (!/\.safetensors$/i.test(path)) return undefined;
  const source = await openFile(path).catch(() => undefined);
  try {
    return source && (await openSafetensors(source)).metadata.get("sshs_model_hash");
  } catch {
    return undefined; // no model, or a damaged one
  } finally {
    await source?.close();
  }
}

/** A1111 leaves a model's folder and ending out, and separators out of a LoRA's name. */
function sameName(path: string, name: string): boolean {
  const plain = (text: string) => stem(text).replaceAll(/[:,]/g, "").toLowerCase();
  return basename(path) === name || plain(path) === plain(name);
}

/** Model files in the folders and in theirs. */
async function filesIn(folders: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (found.length >= mostFiles) return;
      if (entry.isDirectory()) {
        if (depth < deepest && !entry.name.startsWith(".") && entry.name !== "node_modules") await visit(path, depth + 1);
      } else if (endings.test(entry.name) && (entry.isFile() || (await isFile(path)))) found.push(path);
    }
  };
  for (const folder of folders) await visit(folder, 0);
  return found;
}

/** Through a symbolic link. */
async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

function notFound(wanted: LoraReference, { kind, folders, option }: SearchOptions, named: number): FileSystemError {
  const { name, hash, hashed } = wanted;
  const what = [name === undefined ? undefined : printable(name), hash === undefined ? undefined : `SHA-256 ${hash}`]
    .filter(Boolean)
    .join(", ");
  const others = named === 0 ? "" : `; ${named === 1 ? "a file" : `${named} files`} of that name had another hash`;
  const where =
    folders.length === 0
      ? "no folder was given"
      : `it is not in ${folders.map((folder) => printable(resolve(folder), 300)).join(", ")}`;
  return new FileSystemError("REPRODUCE_FILE", `the ${kind} that the picture was made with (${what}): ${where}${others}`, {
    hint: `say where it is with ${option}`,
    context: { kind, name, hash, hashed, folders: folders.map((folder) => resolve(folder)), sameName: named },
  });
}
