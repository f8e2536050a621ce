/** @file The options for LoRAs. */
import { type Command, Option } from "commander";
import { UsageError } from "../../engine/errors.ts";
import type { LoraArgument, LoraChoice } from "../addons/loras.ts";
import type { Values } from "./shared.ts";

/** Strengths are -10 to 10. */
const maxStrength = 10;

export function addLoraOptions(command: Command): void {
  command
    .addOption(
      new Option(
        "--lora <file[:te[:unet]]>",
        "merge a LoRA (LoHa, LoKr, DoRA, ...), with its strengths in text encoder and U-Net (default: 1); may be given several times",
      ).argParser((text, before: readonly LoraArgument[] | undefined) => [...(before ?? []), parseLora(text)]),
    )
    .addOption(
      new Option("--lora-dir <folder>", "where <lora:NAME:0.8> in a prompt is looked up; may be given several times").argParser(
        (path, before: readonly string[] | undefined) => [...(before ?? []), path],
      ),
    );
}

export function loraValues(values: Values): Omit<LoraChoice, "maxHeader"> {
  return {
    loras: (values["lora"] as readonly LoraArgument[] | undefined) ?? [],
    loraDirs: (values["loraDir"] as readonly string[] | undefined) ?? [],
  };
}

/**
 * "style.safetensors:0.6:0.8": what stands behind the ending are strengths; of a name without a known ending, numbers behind its last colons.
 * @throws UsageError INVALID_LORA
 */
export function parseLora(text: string): LoraArgument {
  const [, named, strengths] = /^(.*\.(?:safetensors|ckpt|pt))(?::(.*))?$/is.exec(text) ?? [];
  const [, bare, te, both] = /^(.+?)(?::([-+.\d][^:/\\]*))?(?::([-+.\d][^:/\\]*))?$/s.exec(text) ?? [];
  const path = named ?? bare ?? "";
  const given = named === undefined ? [te, both].filter((one) => one !== undefined) : (strengths?.split(":") ?? []);
  if (path === "" || given.length > 2) {
    throw invalid(text, path === "" ? "names no file" : `has ${given.length} strengths, two are taken`);
  }
  const [first = 1, second = first] = given.map((one) => strength(text, one));
  return { path, text: first, unet: second };
}

function strength(text: string, written: string): number {
  const value = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(written.trim()) ? Number(written) : Number.NaN;
  if (Math.abs(value) <= maxStrength) return value;
  throw invalid(
    text,
    `has the strength ${JSON.stringify(written.slice(0, 40))}, which is no number from -${maxStrength} to ${maxStrength}`,
  );
}

function invalid(text: string, fact: string): UsageError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}...` : text;
  return new UsageError("INVALID_LORA", `--lora: ${JSON.stringify(shown)} ${fact}`, {
    hint: "such as style.safetensors:0.8, or style.safetensors:0.6:0.8 for text encoder and U-Net",
    context: { option: "lora", value: shown },
  });
}
