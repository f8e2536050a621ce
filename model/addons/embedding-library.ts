/** @file Which textual inversions a prompt names, out of a folder of them: only those are opened. */
import { clean } from "../../tokenizer/clean.ts";
import type { EmbeddingName } from "../../tokenizer/prompt/index.ts";
import type { ByteSource } from "../checkpoint/byte-source.ts";
import type { EmbeddingSet } from "../text/embedding-set.ts";
import { readTextualInversion, type TextualInversion, vectorsFor } from "./textual-inversion.ts";

/** A file that may hold one. */
export interface EmbeddingFile {
  /** What a prompt calls it: the file's name without folder and ending. */
  readonly name: string;
  /** Reads it; undefined for a picture without one, which does not count. */
  read(): Promise<TextualInversion | undefined>;
}

/** A file of numbers; it is closed when it is read. */
export function embeddingFile(name: string, open: () => Promise<ByteSource>): EmbeddingFile {
  const read = async () => {
    const source = await open();
    try {
      return await readTextualInversion(source, name);
    } finally {
      await source.close?.();
    }
  };
  return { name, read };
}

/** All that can be named; what was opened is kept. */
export class EmbeddingLibrary {
  readonly #files: readonly EmbeddingFile[];
  readonly #opened = new WeakMap<EmbeddingFile, Promise<TextualInversion | undefined>>();

  constructor(files: readonly EmbeddingFile[]) {
    this.#files = files;
  }

  /**
   * Those whose names stand in one of the texts. A file that can't be read makes trouble only when a prompt turns out to name it: names are
   * looked for as text here, and "cat" stands in "category" too.
   * @param more others that these prompts may name; of one name, the library's own counts
   */
  async namedIn(texts: readonly string[], more: readonly EmbeddingFile[] = []): Promise<NamedEmbeddings> {
    const squeezed = texts.map(squeeze);
    const byName = new Map([...this.#files, ...more].toReversed().map((file) => [file.name, file]));
    const named = [...byName.values()]
      .reverse()
      .filter(({ name }) => squeeze(name) !== "" && squeezed.some((text) => text.includes(squeeze(name))));
    const read = await Promise.allSettled(named.map((file) => this.#open(file)));
    return new NamedEmbeddings(
      new Map(named.map(({ name }, i) => [name, read[i]!] as const).filter(([, one]) => one.status === "rejected" || one.value)),
    );
  }

  #open(file: EmbeddingFile): Promise<TextualInversion | undefined> {
    const known = this.#opened.get(file);
    if (known) return known;
    const opening = file.read();
    this.#opened.set(file, opening);
    return opening;
  }
}

/** For the text stage: see EmbeddingSet. */
export class NamedEmbeddings implements EmbeddingSet {
  readonly names: readonly EmbeddingName[];
  readonly #read: ReadonlyMap<string, PromiseSettledResult<TextualInversion | undefined>>;

  constructor(read: ReadonlyMap<string, PromiseSettledResult<TextualInversion | undefined>>) {
    this.#read = read;
    this.names = [...read].map(([name, one]) => ({ name, vectors: one.status === "fulfilled" ? (one.value?.vectors ?? 1) : 1 }));
  }

  async vectors(name: string, widths: readonly number[], encoder: number): Promise<Float32Array> {
    return vectorsFor(this.#one(name), widths, encoder);
  }

  id(name: string): string {
    return this.#one(name).id;
  }

  /** SHA-256 of the file, in hex; undefined where it has none of its own. */
  hash(name: string): string | undefined {
    return this.#one(name).hash;
  }

  #one(name: string): TextualInversion {
    const one = this.#read.get(name);
    if (one?.status === "fulfilled" && one.value) return one.value;
    throw one?.status === "rejected" ? one.reason : new RangeError(`no textual inversion "${name}"`);
  }
}

/** What is left of a text when nothing counts that the prompt language may put between a name's characters. */
function squeeze(text: string): string {
  return clean(text)
    .toLowerCase()
    .replace(/[\s\\]+/g, "");
}
