/** @file A file of the LoRA family: the modules that it changes, and by which tensors. */
import { ModelFileError } from "../../engine/errors.ts";
import type { ByteSource } from "../checkpoint/byte-source.ts";
import { openTensors } from "../checkpoint/open-tensors.ts";
import { printable } from "../checkpoint/printable.ts";
import type { SafetensorsFile, SafetensorsOptions, TensorEntry } from "../checkpoint/safetensors.ts";
import { type Part, splitName } from "./lora-parts.ts";
import { peftScale } from "./peft-scale.ts";

/** What a file has for one module. */
export interface Adapter {
  /** Name in the file's spelling, its dots as underscores. */
  readonly module: string;
  readonly parts: ReadonlyMap<Part, TensorEntry>;
  /** alpha / rank from PEFT's metadata; undefined where the parts say it. */
  readonly peftScale: number | undefined;
}

export interface LoraFile {
  readonly file: SafetensorsFile;
  /** As messages name it. */
  readonly name: string;
  /** Second name, `ss_output_name`. */
  readonly alias: string | undefined;
  readonly adapters: readonly Adapter[];
}

/** Keys beside the adapters: embeddings that came bundled with a LoRA (AUTOMATIC1111). */
const bundled = /^bundle_emb\./;

/**
 * Reads the header of an add-on. Its numbers are read when it is merged, so the source stays open as long as the file is in use.
 * @throws ModelFileError LORA_UNKNOWN_PARTS for tensors that no adapter of the known kinds has, NOT_A_LORA where that is all it has,
 *   LORA_DUPLICATE for two tensors that are the same part of one module, and those of openTensors
 */
export async function openLora(source: ByteSource, options: SafetensorsOptions = {}): Promise<LoraFile> {
  const file = await openTensors(source, options);
  const adapters = new Map<string, Map<Part, TensorEntry>>();
  const unknown: string[] = [];
  for (const [key, entry] of file.tensors) {
    if (bundled.test(key)) continue;
    const found = splitName(key);
    if (found === undefined) {
      unknown.push(key);
      continue;
    }
    const parts = adapters.get(found.module) ?? new Map<Part, TensorEntry>();
    adapters.set(found.module, parts);
    const same = parts.get(found.part);
    if (same) throw duplicate(source, same.name, key);
    parts.set(found.part, entry);
  }
  // A (IA)3 vector is a tensor named `weight`, and so is every tensor of a checkpoint.
  for (const [module, parts] of adapters) if (parts.has("weight") && !parts.has("on_input")) unknown.push(`${module}.weight`);
  if (unknown.length > 0)
    throw unknown.length === file.tensors.size ? notALora(source) : unknownParts(source, unknown, file.tensors.size);
  if (adapters.size === 0) throw notALora(source);
  return {
    file,
    name: source.name,
    alias: file.metadata.get("ss_output_name") || undefined,
    adapters: [...adapters].map(([module, parts]) => ({ module, parts, peftScale: peftScale(file.metadata, module, parts) })),
  };
}

function notALora({ name }: ByteSource): ModelFileError {
  return new ModelFileError("NOT_A_LORA", `${name}: the file holds no LoRA: no tensor has the name of an adapter's part`, {
    hint: "`limn inspect` shows what it holds; a whole model is given with -m, a textual inversion with --embedding-dir",
    context: { file: name },
  });
}

/** Two adapters in one file (PEFT names them), or one module in two spellings: either alone would be half of what was asked for. */
function duplicate({ name }: ByteSource, first: string, second: string): ModelFileError {
  const [one, other] = [printable(first), printable(second)];
  return new ModelFileError("LORA_DUPLICATE", `${name}: two tensors are the same part of one module: ${one} and ${other}`, {
    hint: "it holds more than one adapter: save each to a file of its own",
    context: { file: name, tensors: [one, other] },
  });
}

function unknownParts({ name }: ByteSource, unknown: readonly string[], total: number): ModelFileError {
  const shown = unknown.slice(0, 3).map((key) => printable(key));
  const more = unknown.length > 3 ? ` and ${unknown.length - 3} more` : "";
  return new ModelFileError(
    "LORA_UNKNOWN_PARTS",
    `${name}: ${unknown.length} of ${total} tensors are of no known adapter: ${shown.join(", ")}${more}`,
    {
      hint: "known are LoRA, LoCon, LoHa, LoKr, DoRA, (IA)3, GLoRA, OFT, full differences and norms",
      context: { file: name, count: unknown.length, unknown: unknown.slice(0, 10).map((key) => printable(key)) },
    },
  );
}
