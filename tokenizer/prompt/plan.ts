/** @file From a prompt as typed to what the text encoder reads at each step: comments, tags, AND, schedule, chunks, in the order of AUTOMATIC1111's web UI 1.10. */
import { type ClipTokenizer, checkPromptLength } from "../clip-tokenizer.ts";
import { type Chunk, type ChunkOptions, chunkPrompt, type Emphasis } from "./chunks.ts";
import { removeComments } from "./comments.ts";
import { splitParts } from "./composition.ts";
import { checkDepth } from "./depth.ts";
import { entryAt, promptSchedule, type ScheduleEntry, type ScheduleOptions } from "./schedule.ts";
import { type LoraTag, loraTags, type PromptTag, removeTags } from "./tags.ts";

/** Chunks by text. The same array comes back for the same text, so a caller can key its encodings by it. */
export type ChunkCache = Map<string, readonly Chunk[]>;

export interface PlanOptions extends ScheduleOptions, ChunkOptions {
  /** Whether the word AND splits the prompt; false for negative prompts. Default true. */
  readonly compose?: boolean | undefined;
  /** Whether # starts a comment. Default true. */
  readonly comments?: boolean | undefined;
  /** Shared by the plans of one tokenizer with equal options, such as a prompt and its negative prompt. */
  readonly cache?: ChunkCache | undefined;
}

export interface PromptPlan {
  readonly emphasis: Emphasis;
  /** All tags of the prompt, and those that are LoRAs. */
  readonly tags: readonly PromptTag[];
  readonly loras: readonly LoraTag[];
  /** One for each side of AND; a prompt without AND has one. */
  readonly parts: readonly PlannedPart[];
  /** Each text that any step needs, once, in order of appearance. */
  readonly texts: readonly string[];
  /** Tokens that are left out because nothing takes more than one chunk. */
  readonly cut: number;
  /** Textual inversions that the prompt asks for by a name that none has (ComfyUI's `embedding:name`). */
  readonly unknownEmbeddings: readonly string[];
  /** The parts' chunks at a model call, counted from 0; arrays of the same text are the same object. */
  at(call: number): readonly PartAtStep[];
  /** The chunks of one of `texts`. @throws RangeError for another text */
  chunks(text: string): readonly Chunk[];
}

export interface PlannedPart {
  /** Share of this part: denoised = uncond + sum of weight cfg (cond - uncond). */
  readonly weight: number;
  readonly text: string;
  readonly schedule: readonly ScheduleEntry[];
}

export interface PartAtStep {
  readonly weight: number;
  readonly text: string;
  readonly chunks: readonly Chunk[];
}

/**
 * The plan of a prompt for `steps` model calls. Texts are cut into chunks when they are first asked for, and kept.
 * Samplers of second order make twice as many calls as steps: pass the calls.
 * @throws PromptError (a bad weight: by `at` and `chunks`); PromptTooLongError above 64 KiB; RangeError for steps that are no whole number of at least 1
 */
export function planPrompt(tokenizer: ClipTokenizer, prompt: string, steps: number, options: PlanOptions = {}): PromptPlan {
  checkPromptLength(prompt);
  const { compose = true, comments = true, cache = new Map() as ChunkCache, emphasis = "original" } = options;
  const { text, tags } = removeTags(comments ? removeComments(prompt) : prompt);
  if (emphasis !== "none") checkDepth(text);
  const parts = (compose ? splitParts(text) : [{ text, weight: 1 }]).map((part): PlannedPart => {
    return { weight: part.weight, text: part.text, schedule: promptSchedule(part.text, steps, options) };
  });
  const texts = new Set<string>();
  for (const { schedule } of parts) for (const entry of schedule) texts.add(entry.text);
  const chunks = (one: string): readonly Chunk[] => {
    if (!texts.has(one)) throw new RangeError("planPrompt: chunks of a text that the plan does not have; take one of plan.texts");
    const known = cache.get(one) ?? chunkPrompt(tokenizer, one, options);
    cache.set(one, known);
    return known;
  };
  return {
    emphasis,
    tags,
    loras: loraTags(tags),
    parts,
    texts: [...texts],
    cut: 0,
    unknownEmbeddings: [],
    chunks,
    at: (call) =>
      parts.map(({ weight, schedule }) => {
        const entry = entryAt(schedule, call);
        return { weight, text: entry.text, chunks: chunks(entry.text) };
      }),
  };
}
