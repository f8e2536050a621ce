/**
 * @file From a recipe to the command line that makes the picture again. What came from a stranger's file goes through the same checks as
 * what a user types, and nothing but these options can come of it: no file is named here.
 */

import type { PictureRecipe, SettingName } from "./recipe.ts";

/** The option of each setting; undefined for what an option of another setting says. */
export const settingFlags: Readonly<Record<SettingName, string | undefined>> = {
  steps: "--steps",
  sampler: "--sampler",
  schedule: "--schedule",
  sigmas: "--sigmas",
  guidance: "--guidance",
  imageGuidance: "--image-guidance",
  guidanceRescale: "--guidance-rescale",
  seed: "--seed",
  width: "--width",
  height: "--height",
  rng: "--rng",
  compat: "--compat",
  seedDelta: "--ensd",
  variationSeed: "--variation-seed",
  variationStrength: "--variation-strength",
  seedResize: "--seed-resize",
  batch: "--batch",
  batchIndex: undefined,
  eta: "--eta",
  churn: "--churn",
  churnMin: "--churn-min",
  churnMax: "--churn-max",
  noiseScale: "--noise-scale",
  sigmaMin: "--sigma-min",
  sigmaMax: "--sigma-max",
  rho: "--rho",
  betaAlpha: "--beta-alpha",
  betaBeta: "--beta-beta",
  discardPenultimate: "--discard-penultimate",
  zeroSnr: "--zero-snr",
  originalSize: "--original-size",
  crop: "--crop",
  targetSize: "--target-size",
  prediction: "--prediction",
  clipSkip: "--clip-skip",
  emphasis: "--emphasis",
  commaBacktrack: "--comma-backtrack",
  oldEdits: "--old-edits",
  tiling: "--tiling",
  vaeTile: "--vae-tile",
  vaePrecision: "--vae-precision",
  refinerAt: "--refiner-at",
  strength: "--strength",
  stepRule: "--img2img-steps",
  resizeMode: "--resize-mode",
  background: "--bg",
  maskInvert: "--mask-invert",
  maskBlur: "--mask-blur",
  fill: "--fill",
  onlyMasked: "--only-masked",
  padding: "--padding",
  hiresScale: "--hires-scale",
  hiresResize: "--hires-size",
  hiresSteps: "--hires-steps",
  hiresStrength: "--hires-denoise",
  hiresUpscaler: "--hires-upscaler",
  hiresSampler: "--hires-sampler",
  hiresSchedule: "--hires-schedule",
  hiresPrompt: "--hires-prompt",
  hiresNegative: "--hires-negative",
  hiresGuidance: "--hires-guidance",
};

/** Options that have a --no- form. */
const negatable: readonly SettingName[] = ["discardPenultimate", "zeroSnr"];

/** What follows `limn`; the options that name files are the caller's to add, before the last two: `--` and the prompt. */
export function toArguments({ command, prompt, negative, settings }: PictureRecipe, files: readonly string[] = []): string[] {
  const options = (Object.keys(settingFlags) as SettingName[]).flatMap((name) => {
    const [flag, value] = [settingFlags[name], settings[name]];
    if (flag === undefined || value === undefined) return [];
    if (value === true) return [flag];
    if (value === false) return negatable.includes(name) ? [flag.replace("--", "--no-")] : [];
    return [`${flag}=${value}`];
  });
  return [command, ...(negative === "" ? [] : [`--negative=${negative}`]), ...options, ...files, "--", prompt];
}

/** Options for the files by the names that the metadata gives: for people, who know where those are. */
export function fileArguments({ model, vae, init, mask, noise, loras, hypernetworks }: PictureRecipe): string[] {
  const single = { model, vae, init, mask, noise };
  return [
    ...Object.entries(single).flatMap(([name, file]) =>
      file === undefined ? [] : [`--${name}=${file.path ?? file.name ?? ""}`],
    ),
    ...loras.flatMap(({ name, textEncoder, unet }) =>
      textEncoder === undefined ? [] : [`--lora=${name}:${textEncoder}:${unet}`],
    ),
    ...hypernetworks.flatMap(({ name, textEncoder }) => (textEncoder === undefined ? [] : [`--hypernet=${name}:${textEncoder}`])),
  ];
}

/** The same as a line for a shell. */
export function asCommandLine(words: readonly string[]): string {
  return ["limn", ...words].map((word) => (/^[\w.,:=/+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}
