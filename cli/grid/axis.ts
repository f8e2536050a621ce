/** @file An axis of a grid, `NAME=VALUES`: what each of its values changes on the command line. */
import { basename } from "node:path";
import { UsageError } from "../../engine/errors.ts";
import { nearestName } from "../../model/sampling/index.ts";
import { optionName } from "../syntax/option-names.ts";
import { belongsToTheRun } from "../syntax/vary.ts";
import { axisValues, type ValueKind } from "./values.ts";

/** What the command line is so far, for a cell that is being put together. */
export interface CellWords {
  readonly words: readonly string[];
  readonly prompt: string;
  readonly negative: string;
}

export interface AxisValue {
  /** "steps 20", "dpmpp_2m" */
  readonly label: string;
  apply(cell: CellWords): CellWords;
}

export interface Axis {
  /** Option's name, without dashes. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly AxisValue[];
  /** How much has to be done anew where its value changes; the dearest changes least often. */
  readonly cost: number;
}

const wholeOptions = new Set(
  "steps seed clip-skip comma-backtrack ensd variation-seed width height hires-steps padding batch".split(" "),
);
const numberOptions = new Set(
  (
    "guidance guidance-rescale image-guidance strength eta sigma-min sigma-max rho beta-alpha beta-beta churn churn-min churn-max noise-scale " +
    "variation-strength hires-scale hires-denoise hires-guidance mask-blur lora-strength"
  ).split(" "),
);
/** Of a path the name alone is the label. */
const fileOptions = new Set("model vae refiner lora init mask noise hypernet hires-upscaler".split(" "));
const costs: Readonly<Record<string, number>> = {
  model: 9,
  vae: 8,
  refiner: 8,
  lora: 5,
  "lora-strength": 5,
  size: 4,
  width: 4,
  height: 4,
  "clip-skip": 3,
};
/** Options that say nothing of the picture, or are no single value. */
const unfit = new Set("output overwrite save-latent count batch x y z cells cell-size".split(" "));

/** @throws UsageError INVALID_AXIS */
export function parseAxis(option: string, text: string): Axis {
  const [, written, list] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (written === undefined || list === undefined) {
    throw new UsageError("INVALID_AXIS", `--${option}: ${JSON.stringify(text.slice(0, 60))} is not NAME=VALUES`, {
      hint: `such as --${option} steps=10,20,30`,
    });
  }
  const name = optionName(written);
  if (unfit.has(name) || belongsToTheRun(`--${name}`)) {
    throw new UsageError("INVALID_AXIS", `--${option}: ${name} is no axis: it is for the whole run`, {
      hint: "steps, sampler, schedule, guidance, seed, size, model, prompt and most other options are",
    });
  }
  const kind: ValueKind = wholeOptions.has(name) ? "whole" : numberOptions.has(name) ? "number" : "text";
  const texts = axisValues(list, kind);
  return {
    name,
    text: list,
    cost: costs[name] ?? 0,
    values: texts.map((value) => ({ label: labelOf(name, kind, value), apply: applier(name, value, texts) })),
  };
}

function labelOf(name: string, kind: ValueKind, value: string): string {
  if (kind !== "text" || /^(on|off|true|false)$/i.test(value)) return `${name} ${value}`;
  if (fileOptions.has(name)) return basename(value).replace(/\.(safetensors|ckpt|pt|pth)\b/i, "");
  return value === "" ? `no ${name}` : value;
}

function applier(name: string, value: string, all: readonly string[]): AxisValue["apply"] {
  if (name === "prompt") return (cell) => replaced(cell, all[0]!, value);
  return (cell) => ({
    ...cell,
    words: name === "lora-strength" ? withLoraStrength(cell.words, value) : [...cell.words, ...wordsFor(name, value)],
  });
}

function wordsFor(name: string, value: string): string[] {
  if (name === "size") {
    const [, width, height] = /^(\d+)\s*x\s*(\d+)$/i.exec(value) ?? [];
    if (width !== undefined && height !== undefined) return [`--width=${width}`, `--height=${height}`];
    throw new UsageError("INVALID_AXIS", `size: ${JSON.stringify(value.slice(0, 40))} is no size`, {
      hint: "such as size=512x512,512x768",
    });
  }
  if (/^(on|true)$/i.test(value)) return [`--${name}`];
  if (/^(off|false)$/i.test(value)) return name === "zero-snr" || name === "discard-penultimate" ? [`--no-${name}`] : [];
  return [`--${name}=${value}`];
}

/** A1111's "Prompt S/R": the first value, wherever it stands in the prompts, becomes each of them. @throws UsageError PROMPT_NOT_FOUND */
function replaced(cell: CellWords, first: string, value: string): CellWords {
  if (!cell.prompt.includes(first) && !cell.negative.includes(first)) {
    const words = cell.prompt.split(/[^\p{L}\p{N}]+/u);
    throw new UsageError(
      "PROMPT_NOT_FOUND",
      `prompt: ${JSON.stringify(first)} is neither in the prompt nor in the negative one`,
      {
        hint: `the first value is what the others replace; ${nearHint(first, words)}`,
        context: { first },
      },
    );
  }
  return { ...cell, prompt: cell.prompt.replaceAll(first, () => value), negative: cell.negative.replaceAll(first, () => value) };
}

function nearHint(first: string, words: readonly string[]): string {
  const near = nearestName(first, words);
  return near === undefined ? "write it as it stands in the prompt" : `did you mean ${near}?`;
}

/** Every --lora of the words with this strength. @throws UsageError NO_LORA */
function withLoraStrength(words: readonly string[], strength: string): string[] {
  let found = 0;
  const out = words.map((word, index) => {
    const path = words[index - 1] === "--lora" ? word : word.startsWith("--lora=") ? word.slice("--lora=".length) : undefined;
    if (path === undefined) return word;
    found++;
    const plain = /^(.*\.(?:safetensors|ckpt|pt))(?::.*)?$/is.exec(path)?.[1] ?? path.replace(/(?::[-+.\d][^:/\\]*){1,2}$/, "");
    return `${word.startsWith("--lora=") ? "--lora=" : ""}${plain}:${strength}`;
  });
  if (found > 0) return out;
  throw new UsageError("NO_LORA", "lora-strength: the command has no --lora whose strength could change", {
    hint: "add --lora FILE; of <lora:NAME:1> in the prompt take prompt=:1>,:0.5>",
  });
}
