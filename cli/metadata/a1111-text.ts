/**
 * @file The text that the A1111 web UI writes into its pictures (modules/processing.py, create_infotext) and most tools read: prompt,
 * negative prompt, one line of `Key: value`. Keys, order, quoting and when a key is left out are its; where it writes a key only
 * while sampling, the order is that of its steps.
 */

import { defaultBetaShape, resolveSampling, type SamplingChoice } from "../../model/sampling/index.ts";
import type { LoraReference, PictureRecipe, Settings } from "./recipe.ts";

type Value = string | number | bigint | undefined;
type Entry = readonly [key: string, value: Value];

/** The `parameters` text of a picture. */
export function formatParameters(recipe: PictureRecipe): string {
  const { prompt, negative, loras, hypernetworks } = recipe;
  const tags = [...loras.flatMap((lora) => tag("lora", lora)), ...hypernetworks.flatMap((network) => tag("hypernet", network))];
  const line = entries(recipe)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${quoted(String(value))}`]))
    .join(", ");
  return [[prompt, ...tags].join(" "), ...(negative === "" ? [] : [`Negative prompt: ${negative}`]), line].join("\n");
}

function entries(recipe: PictureRecipe): Entry[] {
  const { settings: s, model, vae, generator } = recipe;
  const choice = resolveSampling({ sampler: s.sampler, schedule: s.schedule, compat: s.compat });
  const varied = (s.variationStrength ?? 0) !== 0;
  return [
    ["Steps", s.steps],
    ["Sampler", choice.sampler.label],
    ["Schedule type", scheduleLabel(choice)],
    ["CFG scale", s.guidance],
    ["Image CFG scale", s.imageGuidance],
    ["Seed", s.seed],
    ["Size", s.width === undefined || s.height === undefined ? undefined : `${s.width}x${s.height}`],
    ["Model hash", model?.hash?.slice(0, shownHash)],
    ["Model", model?.name === undefined ? undefined : stem(model.name)],
    ["VAE hash", vae?.hash?.slice(0, shownHash)],
    ["VAE", vae?.name],
    ["Variation seed", varied ? s.variationSeed : undefined],
    ["Variation seed strength", varied ? s.variationStrength : undefined],
    ["Seed resize from", s.seedResize],
    ["Denoising strength", s.strength ?? s.hiresStrength],
    ["Clip skip", (s.clipSkip ?? 1) > 1 ? s.clipSkip : undefined],
    ["ENSD", usesSeedDelta(s, choice) ? s.seedDelta : undefined],
    ["RNG", rngLabels[s.rng ?? ""]],
    ["Tiling", s.tiling ? "True" : undefined],
    ...hiresEntries(s, choice),
    ...maskEntries(recipe),
    ["Lora hashes", hashes(recipe.loras)],
    ["TI hashes", hashes(recipe.embeddings)],
    ["Emphasis", /[([]/.test(`${recipe.prompt}${recipe.negative}`) ? emphasisLabels[s.emphasis ?? ""] : undefined],
    ["Noise Schedule", s.zeroSnr ? zeroSnrLabel : undefined],
    ["Discard penultimate sigma", s.discardPenultimate ? "True" : undefined],
    ["Schedule min sigma", s.sigmaMin],
    ["Schedule max sigma", s.sigmaMax],
    ["Schedule rho", s.rho],
    ...betaEntries(s, choice),
    [choice.sampler.name === "ddim" ? "Eta DDIM" : "Eta", s.eta === choice.sampler.eta ? undefined : s.eta],
    ["Sigma churn", s.churn || undefined],
    ["Sigma tmin", s.churnMin || undefined],
    ["Sigma tmax", s.churnMax],
    ["Sigma noise", s.noiseScale === 1 ? undefined : s.noiseScale],
    ["Refiner", refinerTitle(recipe.refiner)],
    ["Refiner switch at", s.refinerAt],
    ["Version", generator],
  ];
}

/** Its "short title" of a checkpoint: "sd_xl_refiner_1.0 [7440042bbd]". */
function refinerTitle(refiner: PictureRecipe["refiner"]): string | undefined {
  if (refiner?.name === undefined) return undefined;
  return [stem(refiner.name), ...(refiner.hash === undefined ? [] : [`[${refiner.hash.slice(0, shownHash)}]`])].join(" ");
}

function hiresEntries(s: Settings, choice: SamplingChoice): Entry[] {
  if (s.hiresScale === undefined && s.hiresResize === undefined) return [];
  const second = secondChoice(s);
  const label = scheduleLabel(second);
  return [
    ["Hires sampler", second.sampler.name === choice.sampler.name ? undefined : second.sampler.label],
    ["Hires prompt", s.hiresPrompt],
    ["Hires negative prompt", s.hiresNegative],
    ["Hires schedule type", label === scheduleLabel(choice) ? undefined : label],
    ["Hires upscale", s.hiresResize === undefined ? s.hiresScale : undefined],
    ["Hires resize", s.hiresResize],
    ["Hires steps", s.hiresSteps],
    ["Hires upscaler", s.hiresUpscaler],
  ];
}

function maskEntries({ command, settings: s }: PictureRecipe): Entry[] {
  if (command !== "inpaint") return [];
  return [
    ["Mask mode", s.maskInvert ? "Inpaint not masked" : undefined],
    ["Mask blur", s.maskBlur || undefined],
    ["Inpaint area", s.onlyMasked ? "Only masked" : undefined],
    ["Masked area padding", s.onlyMasked ? s.padding : undefined],
    ["Masked content", contentLabels[s.fill ?? ""]],
  ];
}

/** Written with that schedule always, whichever pass has it. */
function betaEntries(s: Settings, { schedule }: SamplingChoice): Entry[] {
  if (schedule?.name !== "beta" && secondChoice(s).schedule?.name !== "beta") return [];
  return [
    ["Beta schedule alpha", s.betaAlpha ?? defaultBetaShape],
    ["Beta schedule beta", s.betaBeta ?? defaultBetaShape],
  ];
}

/** Sampler and schedule of the second pass. */
function secondChoice(s: Settings): SamplingChoice {
  return resolveSampling({ sampler: s.hiresSampler ?? s.sampler, schedule: s.hiresSchedule ?? s.schedule, compat: s.compat });
}

/** What A1111 resolves "Automatic" to; it stays where the sampler's own levels have no name there. */
function scheduleLabel({ schedule, scheduleNamed }: SamplingChoice): string {
  return schedule && (scheduleNamed || schedule.name !== "discrete") ? schedule.label : "Automatic";
}

/** A1111's samplers that draw noise after the first, and are not Brownian (its option `uses_ensd`). */
const withSeedDelta = ["Euler a", "DPM++ 2S a", "DPM2 a", "DPM fast", "DPM adaptive"];

function usesSeedDelta({ seedDelta = 0, eta }: Settings, { sampler }: SamplingChoice): boolean {
  return seedDelta !== 0 && eta !== 0 && withSeedDelta.includes(sampler.label);
}

/** Its default, the GPU's generator, is not written; "NV" gives the same numbers without one. */
const rngLabels: Readonly<Record<string, string>> = { cpu: "CPU", comfy: "CPU", philox: "NV" };
/** "Original" is its default and not written. ComfyUI's has no name there. */
export const emphasisLabels: Readonly<Record<string, string>> = { none: "None", ignore: "Ignore", "no-norm": "No norm" };
/** Of "Noise Schedule", whose other value, "Default", is not written. */
export const zeroSnrLabel = "Zero Terminal SNR";
/** "original" is its default and not written. */
export const contentLabels: Readonly<Record<string, string>> = {
  fill: "fill",
  noise: "latent noise",
  nothing: "latent nothing",
};

/** Hex digits of a hash that A1111 shows: of models and VAEs, and of LoRAs and embeddings. */
const shownHash = 10;
const shownAddonHash = 12;

/** "foo: 0123456789ab, bar: ba9876543210"; separators are left out of names. */
function hashes(files: readonly LoraReference[]): string | undefined {
  const shown = files.flatMap(({ name, hash, shortHash = hash }) =>
    name === undefined || shortHash === undefined
      ? []
      : [`${stem(name).replaceAll(/[:,]/g, "")}: ${shortHash.slice(0, shownAddonHash)}`],
  );
  return shown.length === 0 ? undefined : shown.join(", ");
}

/** The tag that A1111 wants in the prompt, for a network that stands in none. */
function tag(kind: string, { name = "", textEncoder, unet = textEncoder }: LoraReference): string[] {
  if (textEncoder === undefined || unet === undefined) return [];
  return [`<${kind}:${stem(name)}:${textEncoder}${unet === textEncoder ? "" : `:${unet}`}>`];
}

/** "models/sd15.safetensors" -> "sd15" */
export function stem(name: string): string {
  return name.replace(/^.*[/\\]/, "").replace(/\.(safetensors|ckpt|pt|pth|bin|gguf)$/i, "");
}

/** Values that hold a separator are written as JSON strings. */
function quoted(value: string): string {
  return /[,:\n]/.test(value) ? JSON.stringify(value) : value;
}
