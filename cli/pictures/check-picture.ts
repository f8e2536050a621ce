/** @file What can be known to be wrong with a picture's options before anything is loaded. */
import { resolveSampling } from "../../model/sampling/index.ts";
import { planPrompts } from "../../model/text/prompt-rules.ts";
import type { ClipTokenizer } from "../../tokenizer/index.ts";
import type { PictureOptions } from "../syntax/options.ts";

/** Sampler, schedule and prompts. @throws UsageError */
export function checkPicture(options: PictureOptions, tokenizer: ClipTokenizer): void {
  if (options.sampler !== undefined || options.schedule !== undefined) resolveSampling(options);
  planPrompts(tokenizer, options, { calls: options.steps ?? 20 }, options);
}
