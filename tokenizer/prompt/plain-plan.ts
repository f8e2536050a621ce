/** @file A prompt without any language: brackets, commas and AND are text, and what is longer than one chunk is cut (CompVis, diffusers). */
import type { ClipTokenizer } from "../clip-tokenizer.ts";
import { type Chunk, type ChunkOptions, chunkPrompt } from "./chunks.ts";
import type { PromptPlan } from "./plan.ts";

/** The plan of such a prompt, one text for all steps. `cut` tells how many tokens did not fit. */
export function plainPlan(tokenizer: ClipTokenizer, prompt: string, options: Omit<ChunkOptions, "emphasis"> = {}): PromptPlan {
  const all = chunkPrompt(tokenizer, prompt, { ...options, emphasis: "none", commaBacktrack: 0 });
  const chunks: readonly Chunk[] = all.slice(0, 1);
  return {
    emphasis: "none",
    tags: [],
    loras: [],
    parts: [{ weight: 1, text: prompt, schedule: [{ end: 1, text: prompt }] }],
    texts: [prompt],
    cut: all.slice(1).reduce((sum, { tokens }) => sum + tokens, 0),
    unknownEmbeddings: [],
    chunks: () => chunks,
    at: () => [{ weight: 1, text: prompt, chunks }],
  };
}
