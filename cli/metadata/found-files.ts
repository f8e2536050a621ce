/** @file What looking for the files of a picture gives. */
import type { Found } from "./find-file.ts";

export interface FoundFile extends Found {
  /** In words: "model", "VAE". */
  readonly kind: string;
}

export interface NeededFiles {
  /** What was found, for people. */
  readonly found: readonly FoundFile[];
  /** The options that name them. */
  readonly arguments: readonly string[];
  /** Removes what was made for them. */
  close(): Promise<void>;
}
