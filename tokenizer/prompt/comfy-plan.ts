/** @file A prompt by ComfyUI's rules: weights and textual inversions, and one text for all steps. Tags, comments, AND and editing are text. */
import { type ClipTokenizer, checkPromptLength } from "../clip-tokenizer.ts";
import type { Emphasis } from "./chunks.ts";
import { comfyChunks } from "./comfy-chunks.ts";
import { parseComfyWeights } from "./comfy-weights.ts";
import type { EmbeddingName } from "./embeddings.ts";
import type { PromptPlan } from "./plan.ts";

export interface ComfyPlanOptions {
  /** Default "comfy". */
  readonly emphasis?: Emphasis | undefined;
  readonly embeddings?: readonly EmbeddingName[] | undefined;
}

/** @throws PromptTooLongError above 64 KiB */
export function comfyPlan(tokenizer: ClipTokenizer, prompt: string, options: ComfyPlanOptions = {}): PromptPlan {
  checkPromptLength(prompt);
  const { emphasis = "comfy", embeddings } = options;
  const read = emphasis === "none" ? (text: string) => [[text, 1] as const] : parseComfyWeights;
  const { chunks, unknown } = comfyChunks(tokenizer, prompt, { embeddings, read });
  return {
    emphasis,
    tags: [],
    loras: [],
    parts: [{ weight: 1, text: prompt, schedule: [{ end: 1, text: prompt }] }],
    texts: [prompt],
    cut: 0,
    unknownEmbeddings: unknown,
    chunks: () => chunks,
    at: () => [{ weight: 1, text: prompt, chunks }],
  };
}
