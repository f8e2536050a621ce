/** @file The hypernetworks that a picture asks for: those given to it, and those that its prompt's tags name. */
import { UsageError } from "../../engine/errors.ts";
import { hypernetTags } from "../../tokenizer/prompt/index.ts";
import { asUsageErrors, type PromptPlans } from "../text/prompt-rules.ts";
import type { HypernetworkFile } from "./hypernetwork.ts";

/** A hypernetwork and how strongly it counts. */
export interface HypernetworkUse {
  readonly hypernetwork: HypernetworkFile;
  readonly strength: number;
  /** Its name in the prompt's tag, if it comes from one. */
  readonly tag?: string | undefined;
}

export interface HypernetworkOptions {
  /** In this order, before those of the prompt's tags. */
  readonly hypernetworks?: readonly HypernetworkUse[] | undefined;
  /** Finds the file of `<hypernet:name:0.8>`. Without it such a tag is an error. @throws UsageError for a name that it doesn't know */
  readonly findHypernetwork?: ((name: string) => Promise<HypernetworkFile>) | undefined;
}

/** @throws UsageError HYPERNET_DIR_MISSING, INVALID_PROMPT_TAG, and what `findHypernetwork` throws */
export async function requestedHypernetworks(
  { hypernetworks = [], findHypernetwork }: HypernetworkOptions,
  { prompt }: PromptPlans,
): Promise<HypernetworkUse[]> {
  const uses = [...hypernetworks];
  for (const { name, strength } of asUsageErrors(() => hypernetTags(prompt.tags))) {
    if (!findHypernetwork) throw noHypernetworkFolder(name);
    uses.push({ hypernetwork: await findHypernetwork(name), strength, tag: name });
  }
  return uses;
}

export function noHypernetworkFolder(name: string): UsageError {
  return new UsageError(
    "HYPERNET_DIR_MISSING",
    `the prompt asks for the hypernetwork ${JSON.stringify(name)}, but there is no folder to find it in`,
    { hint: "name the folder with --hypernet-dir, or leave the tag out", context: { name } },
  );
}
