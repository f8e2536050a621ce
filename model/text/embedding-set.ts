/** @file Textual inversions (Gal et al. 2022) as the text stage sees them: names to find in a prompt, vectors to put there. */
import type { EmbeddingName } from "../../tokenizer/prompt/index.ts";

export interface EmbeddingSet {
  /** All that a prompt may name. */
  readonly names: readonly EmbeddingName[];
  /**
   * The vectors [n * width] of one of them for one encoder, counted from 0, of a model whose encoders have these widths.
   * @throws ModelFileError if it was made for another family
   */
  vectors(name: string, widths: readonly number[], encoder: number): Promise<Float32Array>;
  /** Differs between two of one name whose vectors do. @throws ModelFileError if its file can't be read */
  id(name: string): string;
}
