/** @file From prompt to context: token ids, cut to what the text encoder takes, and the words that a small checkpoint knows. */

import type { ClipTokenizer } from "../tokenizer/index.ts";
import type { TextConfig } from "./checkpoint/config.ts";

export interface PromptIds {
  /** start, tokens, end, padding: 77 ids. */
  readonly ids: Uint32Array;
  /** Tokens that did not fit and were cut. */
  readonly cut: number;
}

/** The ids of a prompt: CLIP pads with the end marker, OpenCLIP with zeros. */
export function promptIds(tokenizer: ClipTokenizer, prompt: string, config: TextConfig): PromptIds {
  const length = config.positions;
  const tokens = tokenizer.encode(prompt);
  return {
    ids: tokenizer.sequence(tokens, { length, pad: config.padding }),
    cut: Math.max(0, tokens.length - (length - 2)),
  };
}

/** Whether the prompt has one of the words or phrases that the checkpoint knows; true where it doesn't say what it knows. */
export function namesSomethingKnown(prompt: string, knows: readonly string[]): boolean {
  if (knows.length === 0) return true;
  const words = ` ${prompt
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .join(" ")} `;
  return knows.some((known) => words.includes(` ${known} `) || words.includes(` ${known}s `));
}
