/** @file A prompt in chunks of 75 tokens with their weights, each for one run of the text encoder. As AUTOMATIC1111's web UI 1.10, modules/sd_hijack_clip.py. */
import type { ClipTokenizer } from "../clip-tokenizer.ts";
import { endToken, startToken } from "../vocabulary.ts";
import { isBreak, parseAttention, type WeightedText } from "./attention.ts";
import type { EmbeddingLookup } from "./embeddings.ts";

/**
 * What weights do to the text encoder's output z of a chunk: "original" z w mean(z) / mean(z w), means over the whole chunk; "no-norm" z w;
 * "ignore" nothing, though the brackets are read; "none" brackets are text; "comfy" z0 + w (z - z0), z0 the output for an empty prompt (ComfyUI).
 */
export type Emphasis = "original" | "no-norm" | "ignore" | "none" | "comfy";

export interface ChunkOptions {
  /** Default "original". The chunks differ only for "ignore" and "none". */
  readonly emphasis?: Emphasis | undefined;
  /** A full chunk is cut after a comma among its last so many tokens; 0 for never. Default 20. */
  readonly commaBacktrack?: number | undefined;
  /** What follows the end token, as in `ClipTokenizer.sequence`. */
  readonly pad?: "end" | "zero" | undefined;
  /** Names in the prompt that stand for textual inversions. */
  readonly embeddings?: EmbeddingLookup | undefined;
}

/** One run of the text encoder: start token, 75 tokens, end token. */
export interface Chunk {
  /** [77] */
  readonly ids: Uint32Array;
  /** [77], 1 for start, end and padding. */
  readonly weights: Float64Array;
  /** Tokens of the prompt in it, 0..75. */
  readonly tokens: number;
  /** Textual inversions: `vectors` rows from `offset` on replace the token embeddings, whose ids are 0. */
  readonly embeddings: readonly PlacedEmbedding[];
}

export interface PlacedEmbedding {
  readonly name: string;
  readonly vectors: number;
  /** 1..75: index among the chunk's 77 ids. */
  readonly offset: number;
  /** The first of them, where a chunk has the rest of one that was cut. Default 0. */
  readonly first?: number;
}

/** Tokens of the prompt in a chunk. */
export const chunkLength = 75;
/** The id of a comma that ends a word. */
const commaToken = 267;

/**
 * The chunks of a prompt without schedule, AND and tags; one for an empty prompt. BREAK ends a chunk.
 * @throws PromptError INVALID_PROMPT_WEIGHT; PromptTooLongError above 64 KiB
 */
export function chunkPrompt(tokenizer: ClipTokenizer, prompt: string, options: ChunkOptions = {}): Chunk[] {
  const { emphasis = "original", commaBacktrack = 20, pad = "end", embeddings } = options;
  const stretches: readonly WeightedText[] = emphasis === "none" ? [[prompt, 1]] : parseAttention(prompt);
  const tokens = tokenizer.encodeAll(stretches.map((stretch) => (isBreak(stretch) ? "" : stretch[0])));
  const builder = new ChunkBuilder(commaBacktrack);
  stretches.forEach((stretch, index) => {
    if (isBreak(stretch)) builder.close();
    else builder.addTokens(tokens[index]!, emphasis === "ignore" ? 1 : stretch[1], embeddings);
  });
  return chunksOf(builder.finish(), pad);
}

/** A chunk under way; `offset` counts from its first token. */
export interface Draft {
  ids: number[];
  weights: number[];
  embeddings: PlacedEmbedding[];
}

class ChunkBuilder {
  readonly #commaBacktrack: number;
  readonly #closed: Draft[] = [];
  #chunk: Draft = { ids: [], weights: [], embeddings: [] };
  #comma = -1;

  constructor(commaBacktrack: number) {
    this.#commaBacktrack = commaBacktrack;
  }

  addTokens(tokens: readonly number[], weight: number, embeddings: EmbeddingLookup | undefined): void {
    for (let position = 0; position < tokens.length; position++) {
      const embedding = embeddings?.(tokens, position);
      if (!embedding) this.#addToken(tokens[position]!, weight);
      else {
        this.#addEmbedding(embedding, weight);
        position += embedding.tokens - 1;
      }
    }
  }

  #addToken(id: number, weight: number): void {
    if (id === commaToken) this.#comma = this.#chunk.ids.length;
    this.#makeRoom(id !== commaToken);
    this.#chunk.ids.push(id);
    this.#chunk.weights.push(weight);
  }

  #addEmbedding({ name, vectors }: { readonly name: string; readonly vectors: number }, weight: number): void {
    this.#makeRoom(true);
    if (this.#chunk.ids.length + vectors > chunkLength) this.close();
    this.#chunk.embeddings.push({ name, vectors, offset: this.#chunk.ids.length });
    for (let vector = 0; vector < vectors; vector++) {
      this.#chunk.ids.push(0);
      this.#chunk.weights.push(weight);
    }
  }

  close(): void {
    this.#closed.push(this.#chunk);
    this.#chunk = { ids: [], weights: [], embeddings: [] };
    this.#comma = -1;
  }

  finish(): readonly Draft[] {
    if (this.#chunk.ids.length > 0 || this.#closed.length === 0) this.close();
    return this.#closed;
  }

  /** Closes the chunk if it is full; with `backtrack`, what follows its last comma, if that is near, starts the next one. */
  #makeRoom(backtrack: boolean): void {
    const { ids, weights, embeddings } = this.#chunk;
    if (ids.length < chunkLength) return;
    const cut = this.#comma + 1;
    const near = this.#comma >= 0 && chunkLength - this.#comma <= this.#commaBacktrack;
    if (!backtrack || !near) {
      this.close();
      return;
    }
    this.#chunk = {
      ids: ids.slice(0, cut),
      weights: weights.slice(0, cut),
      embeddings: embeddings.filter(({ offset }) => offset < cut),
    };
    this.close();
    // The web UI leaves textual inversions behind, where they fall on padding; here they move along with their tokens.
    const moved = embeddings.filter(({ offset }) => offset >= cut).map((one) => ({ ...one, offset: one.offset - cut }));
    this.#chunk = { ids: ids.slice(cut), weights: weights.slice(cut), embeddings: moved };
  }
}

/** The chunks of drafts, as views of two arrays: BREAK alone may ask for ten thousand. */
export function chunksOf(drafts: readonly Draft[], pad: "end" | "zero"): Chunk[] {
  const length = chunkLength + 2;
  const allIds = new Uint32Array(drafts.length * length).fill(pad === "end" ? endToken : 0);
  const allWeights = new Float64Array(drafts.length * length).fill(1);
  return drafts.map((draft, index) => {
    const ids = allIds.subarray(index * length, (index + 1) * length);
    const weights = allWeights.subarray(index * length, (index + 1) * length);
    const tokens = draft.ids.length;
    ids[0] = startToken;
    ids.set(draft.ids, 1);
    ids[tokens + 1] = endToken;
    weights.set(draft.weights, 1);
    return { ids, weights, tokens, embeddings: draft.embeddings.map((one) => ({ ...one, offset: one.offset + 1 })) };
  });
}
