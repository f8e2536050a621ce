/** @file How prompts are read: one table of whose rules, and the two plans of a picture. */
import { UsageError } from "../../engine/errors.ts";
import { maxComposed } from "../../kernels/index.ts";
import type { ClipTokenizer } from "../../tokenizer/index.ts";
import {
  type ChunkCache,
  comfyPlan,
  type Emphasis,
  embeddingLookup,
  PromptError,
  type PromptPlan,
  plainPlan,
  planPrompt,
} from "../../tokenizer/prompt/index.ts";
import type { Compatibility } from "../sampling/index.ts";
import type { EmbeddingSet } from "./embedding-set.ts";

export interface PromptOptions {
  /** What weights such as (word:1.2) do. Default: "original", with ComfyUI's rules "comfy". */
  readonly emphasis?: Emphasis | undefined;
  /** Cut a full chunk after a comma among its last so many tokens; 0 for never. Default 20. */
  readonly commaBacktrack?: number | undefined;
  /** Prompt editing as A1111 did before 1.6. */
  readonly oldEdits?: boolean | undefined;
  /** Textual inversions that the prompts may name. */
  readonly embeddings?: EmbeddingSet | undefined;
  /** Whose rules. Default: A1111's. */
  readonly compat?: Compatibility | undefined;
}

export interface PromptPlans {
  readonly prompt: PromptPlan;
  readonly negative: PromptPlan;
}

interface PromptRules {
  /** The whole language of A1111; the weights of ComfyUI; or none: brackets are text, and one chunk is read. */
  readonly language: "a1111" | "comfy" | "plain";
  /** SDXL sees zeros in the place of an empty negative prompt. */
  readonly zeroEmptyNegative: boolean;
}

const a1111: PromptRules = { language: "a1111", zeroEmptyNegative: true };
const rules: Readonly<Record<Compatibility, PromptRules>> = {
  a1111,
  comfy: { language: "comfy", zeroEmptyNegative: false },
  diffusers: { language: "plain", zeroEmptyNegative: true },
  compvis: { language: "plain", zeroEmptyNegative: true },
};

export function promptRulesOf(compat: Compatibility | undefined): PromptRules {
  return compat === undefined ? a1111 : rules[compat];
}

/** Model calls that a picture's prompts are spread over. */
export interface PromptCalls {
  /** Of the pass that begins with noise. */
  readonly calls: number;
  /** Of the hires pass, when the plans are to be that pass's. */
  readonly hiresCalls?: number | undefined;
}

/** @throws UsageError PROMPT_NESTING, INVALID_PROMPT_WEIGHT, INVALID_PROMPT_TAG, TOO_MANY_PARTS */
export function planPrompts(
  tokenizer: ClipTokenizer,
  texts: { readonly prompt: string; readonly negative: string },
  { calls, hiresCalls }: PromptCalls,
  { emphasis, commaBacktrack, oldEdits, embeddings, compat }: PromptOptions,
): PromptPlans {
  const lookup = embeddings && embeddingLookup(tokenizer, embeddings.names);
  const chunking = { emphasis, commaBacktrack, embeddings: lookup };
  const { language } = promptRulesOf(compat);
  return asUsageErrors(() => {
    if (language === "comfy") {
      const options = { emphasis, embeddings: embeddings?.names };
      return { prompt: comfyPlan(tokenizer, texts.prompt, options), negative: comfyPlan(tokenizer, texts.negative, options) };
    }
    if (language === "plain") {
      return {
        prompt: plainPlan(tokenizer, texts.prompt, chunking),
        negative: plainPlan(tokenizer, texts.negative, chunking),
      };
    }
    const cache: ChunkCache = new Map();
    const options = { ...chunking, hiresSteps: hiresCalls, oldRule: oldEdits, cache };
    const prompt = planPrompt(tokenizer, texts.prompt, calls, options);
    const negative = planPrompt(tokenizer, texts.negative, calls, { ...options, compose: false });
    if (prompt.parts.length > maxComposed) {
      throw new UsageError("TOO_MANY_PARTS", `the prompt joins ${prompt.parts.length} parts by AND, ${maxComposed} are taken`, {
        hint: "join some of them with a comma",
        context: { parts: prompt.parts.length, limit: maxComposed },
      });
    }
    for (const plan of [prompt, negative]) for (const text of plan.texts) plan.chunks(text); // a bad weight shows here
    return { prompt, negative };
  });
}

/** The textual inversions that stand in the prompts at any step, each once. */
export function embeddingsIn({ prompt, negative }: PromptPlans): string[] {
  const chunks = [prompt, negative].flatMap((plan) => plan.texts.flatMap((text) => plan.chunks(text)));
  return [...new Set(chunks.flatMap(({ embeddings }) => embeddings.map(({ name }) => name)))];
}

/** The prompt language knows nothing of limn's errors. @throws UsageError in the place of a PromptError */
export function asUsageErrors<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof PromptError)) throw error;
    throw new UsageError(error.code, error.message, { hint: error.hint });
  }
}
