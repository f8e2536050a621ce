/** @file What PEFT writes of a LoRA's scale: not in tensors, but as JSON in the metadata (huggingface/diffusers `utils/peft_utils.py`). */
import type { TensorEntry } from "../checkpoint/safetensors.ts";
import type { Part } from "./lora-parts.ts";

/**
 * alpha / rank of a module by `lora_adapter_metadata`, whose keys are `<component>.lora_alpha`, `.alpha_pattern` (module -> alpha) and
 * `.use_rslora` (alpha over the root of the rank; Kalajdzievski 2023). Undefined where a tensor says it, or nothing does.
 */
export function peftScale(
  metadata: ReadonlyMap<string, string>,
  module: string,
  parts: ReadonlyMap<Part, TensorEntry>,
): number | undefined {
  const text = metadata.get("lora_adapter_metadata");
  const rank = parts.get("down")?.shape[0];
  if (text === undefined || rank === undefined || parts.has("alpha")) return undefined;
  const stated = parse(text);
  const component = ["text_encoder_2", "text_encoder", "unet"].find((name) => module.startsWith(`${name}_`)) ?? "unet";
  const below = module.startsWith(`${component}_`) ? module.slice(component.length + 1) : module;
  const pattern = stated[`${component}.alpha_pattern`];
  const own = isRecord(pattern) ? Object.entries(pattern).find(([name]) => endsWith(below, name)) : undefined;
  const alpha = own?.[1] ?? stated[`${component}.lora_alpha`];
  if (typeof alpha !== "number" || !Number.isFinite(alpha)) return undefined;
  return alpha / (stated[`${component}.use_rslora`] === true ? Math.sqrt(rank) : rank);
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A pattern names a module, or the end of its path. */
function endsWith(module: string, pattern: string): boolean {
  const name = pattern.replaceAll(".", "_");
  return module === name || module.endsWith(`_${name}`);
}
