/** @file What the prompt language makes of one prompt, as a plain record: the form in which its results are compared with the original's. */
import { checkPromptLength } from "../clip-tokenizer.ts";
import { parseAttention, type WeightedText } from "./attention.ts";
import { splitParts } from "./composition.ts";
import { PromptError } from "./prompt-error.ts";
import { type ScheduleOptions, scheduleOf } from "./schedule.ts";
import { EditedPrompt } from "./schedule-text.ts";

type Pairs = readonly (readonly [end: number, text: string])[];

/** The prompt is taken as given: comments and tags stay in. */
export interface PromptRow {
  readonly prompt: string;
  /** Missing where a weight is no number; then there is `attention_error`, the name of the original's error. */
  readonly attention?: readonly WeightedText[];
  readonly attention_error?: "ValueError";
  /** [end, text] over 10 and 20 steps, and over a hires pass of 12 steps after 10. */
  readonly schedule10: Pairs;
  readonly schedule20: Pairs;
  readonly hires10_12: Pairs;
  /** [text, weight] */
  readonly and: readonly WeightedText[];
}

/** @throws PromptTooLongError above 64 KiB */
export function promptRow(prompt: string): PromptRow {
  checkPromptLength(prompt);
  const edited = EditedPrompt.parse(prompt);
  const pairs = (steps: number, options?: ScheduleOptions): Pairs => {
    return scheduleOf(prompt, edited, steps, options).map(({ end, text }) => [end, text]);
  };
  return {
    prompt,
    ...attention(prompt),
    schedule10: pairs(10),
    schedule20: pairs(20),
    hires10_12: pairs(10, { hiresSteps: 12 }),
    and: splitParts(prompt).map(({ text, weight }) => [text, weight]),
  };
}

function attention(prompt: string): Pick<PromptRow, "attention" | "attention_error"> {
  try {
    return { attention: parseAttention(prompt) };
  } catch (error) {
    if (error instanceof PromptError) return { attention_error: "ValueError" };
    throw error;
  }
}
