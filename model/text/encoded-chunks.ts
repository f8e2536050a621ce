/** @file Chunks that are already encoded: pictures of one prompt, and the steps of an alternation, ask for the same ones. */
import type { Chunk } from "../../tokenizer/prompt/index.ts";
import type { EmbeddingSet } from "./embedding-set.ts";
import type { EncodedChunk, TextStage } from "./text-stage.ts";

/** Chunks kept; the oldest goes first. SDXL's take 0.6 MB each. */
const mostKept = 64;

export class EncodedChunks {
  readonly #kept = new Map<string, EncodedChunk>();

  /** Encodes what is not known yet, all of it in as few runs as can be. */
  async encode(stage: TextStage, chunks: readonly Chunk[], clipSkip: number, embeddings?: EmbeddingSet): Promise<EncodedChunk[]> {
    const keys = chunks.map((chunk) => keyOf(chunk, clipSkip, embeddings));
    const unknown = new Map(chunks.map((chunk, i) => [keys[i]!, chunk] as const).filter(([key]) => !this.#kept.has(key)));
    const encoded = await stage.run([...unknown.values()], embeddings);
    const fresh = new Map([...unknown.keys()].map((key, i) => [key, encoded[i]!]));
    const all = keys.map((key) => fresh.get(key) ?? this.#kept.get(key)!);
    for (const [key, chunk] of fresh) this.#kept.set(key, chunk);
    for (const key of this.#kept.keys()) {
      if (this.#kept.size <= mostKept) break;
      this.#kept.delete(key);
    }
    return all;
  }

  /** To be called when the text encoder has changed, or what it gave turned out wrong. */
  clear(): void {
    this.#kept.clear();
  }
}

/** Equal for chunks that encode to the same; weights come later. */
function keyOf({ ids, embeddings: placed }: Chunk, clipSkip: number, embeddings: EmbeddingSet | undefined): string {
  return JSON.stringify([
    clipSkip,
    Array.from(ids),
    placed.map(({ name, offset, first }) => [embeddings?.id(name), offset, first]),
  ]);
}
