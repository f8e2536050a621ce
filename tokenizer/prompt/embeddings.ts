/** @file Textual inversions (Gal et al. 2022) by name: which tokens of a prompt stand for one. Matching as in AUTOMATIC1111's web UI 1.10, modules/textual_inversion. */
import type { ClipTokenizer } from "../clip-tokenizer.ts";

/** One textual inversion, as far as a prompt needs to know it. */
export interface EmbeddingName {
  /** As written in a prompt. */
  readonly name: string;
  /** Vectors, each in the place of one token: 1 to 75. */
  readonly vectors: number;
}

/** Where in a prompt a textual inversion stands. */
export interface EmbeddingMatch {
  readonly name: string;
  readonly vectors: number;
  /** Tokens of the name, which the vectors replace. */
  readonly tokens: number;
}

/** Finds the textual inversion whose name starts at a token. */
export type EmbeddingLookup = (tokens: readonly number[], position: number) => EmbeddingMatch | undefined;

/** Most vectors of one: the tokens of a chunk, as they are never split. */
export const maxVectors = 75;

/**
 * A lookup over names: the longest one that fits wins. Case doesn't matter, as the tokenizer knows none.
 * @throws RangeError for a name without tokens or vectors out of 1..75.
 */
export function embeddingLookup(tokenizer: ClipTokenizer, embeddings: readonly EmbeddingName[]): EmbeddingLookup {
  const byFirst = new Map<number, { readonly ids: readonly number[]; readonly embedding: EmbeddingName }[]>();
  for (const embedding of embeddings) {
    const { name, vectors } = embedding;
    const ids = tokenizer.encode(name);
    const first = ids[0];
    if (first === undefined)
      throw new RangeError(`embeddingLookup: the name ${JSON.stringify(name)} has no tokens; rename the file`);
    if (!Number.isInteger(vectors) || vectors < 1 || vectors > maxVectors) {
      throw new RangeError(
        `embeddingLookup: ${name} has ${vectors} vectors, but a prompt's chunk has room for 1 to ${maxVectors}`,
      );
    }
    byFirst.set(first, [...(byFirst.get(first) ?? []), { ids, embedding }]);
  }
  for (const list of byFirst.values()) list.sort((one, other) => other.ids.length - one.ids.length);
  return (tokens, position) => {
    const found = byFirst.get(tokens[position]!)?.find(({ ids }) => ids.every((id, index) => tokens[position + index] === id));
    return found && { name: found.embedding.name, vectors: found.embedding.vectors, tokens: found.ids.length };
  };
}
