/** @file The LoRAs that a picture asks for: those given to it, and those that its prompt's tags name. */
import { UsageError } from "../../engine/errors.ts";
import type { Compatibility } from "../sampling/index.ts";
import type { PromptPlans } from "../text/prompt-rules.ts";
import type { LoraFile } from "./lora-file.ts";
import type { DoraRule } from "./lora-merge.ts";
import type { LoraUse } from "./lora-set.ts";

export interface LoraOptions {
  /** Merged in this order, before those of the prompt's tags. */
  readonly loras?: readonly LoraUse[] | undefined;
  /** Finds the file of `<lora:name:0.8>`. Without it such a tag is an error. @throws UsageError for a name that it doesn't know */
  readonly findLora?: ((name: string) => Promise<LoraFile>) | undefined;
}

/** @throws UsageError LORA_DIR_MISSING, and what `findLora` throws */
export async function requestedLoras({ loras = [], findLora }: LoraOptions, { prompt }: PromptPlans): Promise<LoraUse[]> {
  const uses = [...loras];
  for (const { name, textEncoder, unet, rank } of prompt.loras) {
    if (!findLora) throw noLoraFolder(name);
    uses.push({ lora: await findLora(name), text: textEncoder, unet, rank, tag: name });
  }
  return uses;
}

/** AUTOMATIC1111's norms for its pictures, ComfyUI's for all others. */
export function doraRuleOf(compat: Compatibility | undefined): DoraRule {
  return compat === "a1111" ? "a1111" : "comfy";
}

/** A tag in a prompt, and nowhere to look it up. */
export function noLoraFolder(name: string): UsageError {
  return new UsageError(
    "LORA_DIR_MISSING",
    `the prompt asks for the LoRA ${JSON.stringify(name)}, but there is no folder to find it in`,
    {
      hint: "name the folder with --lora-dir, or leave the tag out",
      context: { name },
    },
  );
}

/** Tags where they do nothing, which a user should know. */
export function idleTags({ negative }: PromptPlans): string[] {
  return negative.loras.length === 0
    ? []
    : ["LoRA tags in the negative prompt do nothing: a LoRA changes the model for both prompts"];
}
