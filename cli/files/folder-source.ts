/** @file A folder on disk as a source of files: its own, and those of its folders, one level down. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ByteFolder } from "../../model/checkpoint/byte-folder.ts";
import { type FileSource, openFile } from "./file-source.ts";

export class FolderSource implements ByteFolder {
  readonly name: string;
  readonly files: ReadonlySet<string>;
  readonly #opened: FileSource[] = [];

  constructor(name: string, files: ReadonlySet<string>) {
    this.name = name;
    this.files = files;
  }

  async open(path: string): Promise<FileSource> {
    const source = await openFile(join(this.name, path));
    this.#opened.push(source);
    return source;
  }

  async close(): Promise<void> {
    for (const source of this.#opened.splice(0)) await source.close();
  }
}

/** Most entries of one folder that are looked at: a model's folder has a dozen. */
const maxEntries = 10_000;

/** Lists a folder. Links are followed, as the hub's cache is made of them. @throws whatever `readdir` throws for `path` itself */
export async function openFolder(path: string): Promise<FolderSource> {
  const files = new Set<string>();
  for (const entry of (await readdir(path, { withFileTypes: true })).slice(0, maxEntries)) {
    if (!entry.isDirectory()) files.add(entry.name);
    if (entry.isFile()) continue;
    // A link may stand for either.
    const inside = await readdir(join(path, entry.name)).catch((): string[] => []);
    for (const name of inside.slice(0, maxEntries)) files.add(`${entry.name}/${name}`);
  }
  return new FolderSource(path, files);
}
