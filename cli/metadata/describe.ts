/** @file A recipe for people: lines of a label and a value, everything from the file made safe to print. */

import { printable } from "../../model/checkpoint/printable.ts";
import type { FileReference, LoraReference, PictureRecipe, SettingName, Settings } from "./recipe.ts";

/** Longest value that is shown whole. */
const longestValue = 4000;

/** The settings in the order and the words of the lines. */
const groups: readonly (readonly [label: string, names: Partial<Record<SettingName, string>>])[] = [
  [
    "seed",
    {
      seed: "",
      variationSeed: "variation",
      variationStrength: "strength",
      seedResize: "from size",
      seedDelta: "ENSD",
      batch: "of a batch of",
      batchIndex: "index",
    },
  ],
  [
    "sampling",
    {
      steps: "steps",
      sampler: "sampler",
      schedule: "schedule",
      sigmas: "sigmas",
      guidance: "guidance",
      imageGuidance: "image guidance",
      guidanceRescale: "rescale",
    },
  ],
  [
    "rules",
    {
      compat: "of",
      rng: "noise",
      clipSkip: "CLIP skip",
      emphasis: "emphasis",
      commaBacktrack: "comma backtrack",
      oldEdits: "old prompt editing",
      prediction: "prediction",
      zeroSnr: "zero-terminal SNR",
      tiling: "tiling",
      vaeTile: "VAE tiles",
      vaePrecision: "VAE precision",
    },
  ],
  [
    "tuning",
    {
      eta: "eta",
      churn: "churn",
      churnMin: "from",
      churnMax: "to",
      noiseScale: "noise",
      sigmaMin: "least sigma",
      sigmaMax: "largest sigma",
      rho: "rho",
      betaAlpha: "alpha",
      betaBeta: "beta",
      discardPenultimate: "no penultimate sigma",
    },
  ],
  ["SDXL", { originalSize: "original size", crop: "crop", targetSize: "target size", refinerAt: "refiner from" }],
  ["from", { strength: "strength", stepRule: "steps", resizeMode: "resized by", background: "behind it" }],
  ["mask", { maskBlur: "blur", maskInvert: "inverted", fill: "starts from", onlyMasked: "only that part", padding: "padding" }],
  [
    "hires",
    {
      hiresScale: "scale",
      hiresResize: "size",
      hiresUpscaler: "upscaler",
      hiresSteps: "steps",
      hiresStrength: "strength",
      hiresSampler: "sampler",
      hiresSchedule: "schedule",
      hiresGuidance: "guidance",
      hiresPrompt: "prompt",
      hiresNegative: "negative",
    },
  ],
];

export function describeRecipe(recipe: PictureRecipe): string[] {
  const { generator, command, prompt, negative, settings, made } = recipe;
  const machine = made?.adapter ? ` on ${made.adapter} (tier ${made.tier}, ${made.precision})` : "";
  return [
    ...row("made by", `${generator}${machine}`),
    ...row("command", command),
    ...row("prompt", prompt),
    ...(negative === "" ? [] : row("negative", negative)),
    ...(settings.width === undefined ? [] : row("size", `${settings.width}x${settings.height ?? "?"}`)),
    ...groups.flatMap(([label, names]) => row(label, values(settings, names))),
    ...neededFiles(recipe).flatMap(([label, file]) => row(label, describeFile(file))),
    ...recipe.unknown.flatMap((text, index) => row(index === 0 ? "not used" : "", text)),
  ];
}

/** Every file that the picture needs, with what it is. */
export function neededFiles(recipe: PictureRecipe): (readonly [kind: string, file: LoraReference])[] {
  const { model, vae, refiner, upscaler, init, mask, noise } = recipe;
  const single = { model, VAE: vae, refiner, upscaler, init, mask, noise };
  return [
    ...Object.entries(single).flatMap(([kind, file]) => (file === undefined ? [] : [[kind, file] as const])),
    ...recipe.loras.map((file) => ["LoRA", file] as const),
    ...recipe.embeddings.map((file) => ["embedding", file] as const),
    ...recipe.hypernetworks.map((file) => ["hypernet", file] as const),
  ];
}

function values(settings: Settings, names: Partial<Record<SettingName, string>>): string {
  return Object.entries(names)
    .flatMap(([name, label]) => {
      const value = settings[name as SettingName];
      if (value === undefined || value === false) return [];
      return value === true ? [label] : [`${label} ${value}`.trim()];
    })
    .join(", ");
}

/** "sd15.safetensors, SHA-256 6ce0161689". */
export function describeFile({ name, path, hash, hashed, textEncoder, unet }: FileReference & Partial<LoraReference>): string {
  const of = { file: "SHA-256", weights: "SHA-256 of the weights", part: "old hash" }[hashed ?? "file"];
  const strength =
    textEncoder === undefined
      ? undefined
      : `strength ${textEncoder}${(unet ?? textEncoder) === textEncoder ? "" : `, U-Net ${unet}`}`;
  return [path ?? name, strength, hash === undefined ? undefined : `${of} ${hash}`]
    .filter((part) => part !== undefined)
    .join(", ");
}

/** A label and a value of one line or several; nothing where there is no value. */
function row(label: string, value: string): string[] {
  if (value === "" && label !== "prompt") return [];
  return value
    .split("\n")
    .map((line, index) => `${(index === 0 ? label : "").padEnd(11)} ${printable(line, longestValue)}`.trimEnd());
}
