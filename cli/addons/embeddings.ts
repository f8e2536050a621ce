/** @file The textual inversions of `--embedding-dir`: those that a picture's prompts name are opened, each once a session. */
import {
  type EmbeddingFile,
  EmbeddingLibrary,
  embeddingFile,
  type NamedEmbeddings,
} from "../../model/addons/embedding-library.ts";
import { openFile } from "../files/file-source.ts";
import type { FileReference } from "../metadata/recipe.ts";
import { embeddingPicture } from "./embedding-picture.ts";
import { listAddons } from "./files.ts";

export interface EmbeddingChoice {
  readonly embeddingDirs: readonly string[];
}

const endings = [".pt", ".bin", ".safetensors"];

export class EmbeddingShelf {
  readonly #libraries = new Map<string, Promise<EmbeddingLibrary>>();

  /**
   * Those that may be named in one of the texts: out of the folders, and of `more`. Undefined where there is nothing to name.
   * @throws FileSystemError FS_NOT_FOUND, FS_READ
   */
  async namedIn(
    { embeddingDirs }: EmbeddingChoice,
    texts: readonly (string | undefined)[],
    more: readonly EmbeddingFile[] = [],
  ): Promise<NamedEmbeddings | undefined> {
    if (embeddingDirs.length === 0 && more.length === 0) return undefined;
    const key = embeddingDirs.join("\0");
    const library = this.#libraries.get(key) ?? open(embeddingDirs);
    this.#libraries.set(key, library);
    library.catch(() => this.#libraries.delete(key));
    const given = texts.filter((text) => text !== undefined);
    return (await library).namedIn(given, more);
  }
}

/** Of one name in several folders, the first counts; pictures come last, as most of them show what a file beside them does. */
async function open(folders: readonly string[]): Promise<EmbeddingLibrary> {
  const list = async (wanted: readonly string[]) =>
    (await Promise.all(folders.map((folder) => listAddons(folder, wanted)))).flat();
  const files = (await list(endings)).map(({ name, path }) => embeddingFile(name, () => openFile(path)));
  const pictures = (await list([".png"])).map(({ name, path }) => embeddingPicture(name, path));
  const byName = new Map([...files, ...pictures].toReversed().map((file) => [file.name, file]));
  return new EmbeddingLibrary([...byName.values()]);
}

/** Those with files of their own that a picture made use of, as its metadata names them. */
export function embeddingReferences(names: readonly string[], embeddings: NamedEmbeddings | undefined): FileReference[] {
  return names.flatMap((name) => {
    const hash = embeddings?.hash(name);
    return hash === undefined ? [] : [{ name, hash, hashed: "file" as const }];
  });
}
