/** @file A folder of files to read by range: a diffusers model, or shards with their index. The Node one is in cli/files/folder-source.ts. */
import type { ByteSource } from "./byte-source.ts";

export interface ByteFolder {
  /** Name for messages (a path). */
  readonly name: string;
  /** Paths of the files in it and in its own folders, one level down, with `/` between: "unet/config.json". */
  readonly files: ReadonlySet<string>;
  /** One of `files`. */
  open(path: string): Promise<ByteSource>;
  /** Closes what was opened. */
  close?(): Promise<void>;
}

/** What a model can be given as: one file (a shard index too), or a folder. */
export type ModelSource = ByteSource | ByteFolder;

export function isFolder(source: ModelSource): source is ByteFolder {
  return "files" in source;
}
