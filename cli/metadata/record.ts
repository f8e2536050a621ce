/** @file What goes into a picture that limn has made: the recipe, from what was asked for and what came of it, and its two texts. */
import { basename } from "node:path";
import type { Variant } from "../../model/checkpoint/config.ts";
import { defaultHiresDenoise, defaultHiresScale } from "../../model/hires/index.ts";
import type { GeneratedImage } from "../../model/index.ts";
import { defaultImageGuidance } from "../../model/picture/img2img.ts";
import { drawsBatches } from "../../model/picture/picture-noise.ts";
import { batchSeed, rulesOf } from "../../model/sampling/index.ts";
import { fileHash } from "../models/model-hash.ts";
import { type HiresChoice, upscalerFile, upscalerLabel } from "../pictures/hires.ts";
import type { Img2imgOptions, InpaintOptions, Txt2imgOptions } from "../syntax/options.ts";
import { packageVersion } from "../version.ts";
import { formatParameters } from "./a1111-text.ts";
import { formatOwn, ownKeyword } from "./own-text.ts";
import { emptyRecipe, type FileReference, type PictureRecipe, type Settings } from "./recipe.ts";

type Options = Txt2imgOptions | Img2imgOptions | InpaintOptions;

/** The files behind a run, each with its hash. */
export type UsedFiles = Pick<PictureRecipe, "model" | "vae" | "refiner" | "init" | "mask" | "noise" | "upscaler"> &
  Partial<Pick<PictureRecipe, "loras" | "embeddings" | "hypernetworks">>;

/** Hashes are read from disk; a run starts this early and waits for it late. */
export async function usedFiles(
  options: Options,
  { model, vae, refiner }: { readonly model: string; readonly vae: string | undefined; readonly refiner?: string | undefined },
  signal?: AbortSignal,
): Promise<UsedFiles> {
  const file = async (path: string | undefined): Promise<FileReference | undefined> =>
    path === undefined ? undefined : { name: basename(path), hash: await fileHash(path, "file", signal), hashed: "file" };
  // Pictures and noise lie anywhere and have any name: where they were is worth keeping.
  const placed = async (path: string | undefined) => (path === undefined ? undefined : { ...(await file(path)), path });
  return {
    model: await file(model),
    vae: await file(vae),
    refiner: await file(refiner),
    init: await placed("init" in options ? options.init : undefined),
    mask: await placed("mask" in options ? options.mask : undefined),
    noise: await placed(options.noise),
    upscaler: await file(options.hires && upscalerFile(options.hires)),
  };
}

export interface MadeOf {
  readonly options: Options;
  readonly image: GeneratedImage;
  /** Which picture of the batch, from 0. */
  readonly index: number;
  readonly variant: Variant;
  readonly files: UsedFiles;
  readonly machine: NonNullable<PictureRecipe["made"]>;
}

export function recordPicture({ options, image, index, variant, files, machine }: MadeOf): PictureRecipe {
  return {
    ...emptyRecipe("limn", `limn ${packageVersion}`),
    ...files,
    command: "mask" in options ? "inpaint" : "init" in options ? "img2img" : "txt2img",
    prompt: options.prompt,
    negative: options.negative,
    settings: {
      ...sampling(image.settings),
      ...noise(options, index),
      seed: image.seed,
      // What to ask for to get it again: of a masked region the size that it was made in.
      width: image.settings.width,
      height: image.settings.height,
      ...prompting(options),
      tiling: options.tiling,
      vaeTile: options.vaeTile ?? image.vaeTile, // an adapter with more room would make another picture
      vaePrecision: options.vaePrecision === "auto" ? undefined : options.vaePrecision,
      ...(options.hires ? secondPass(options.hires, image) : {}),
      ...("init" in options ? starting(options, image) : {}),
      ...("init" in options && variant === "pix2pix" ? { imageGuidance: options.imageGuidance ?? defaultImageGuidance } : {}),
      ...("mask" in options ? masking(options) : {}),
    },
    made: machine,
  };
}

/** By keyword: A1111's, which most tools read, and limn's own, which leaves nothing out. */
export function textsOf(recipe: PictureRecipe): Record<string, string> {
  return { parameters: formatParameters(recipe), [ownKeyword]: formatOwn(recipe) };
}

function sampling(settings: GeneratedImage["settings"]): Settings {
  const { steps, sampler, schedule, guidance, guidanceRescale, clipSkip, compat } = settings;
  const { sigmas, sigmaMin, sigmaMax, rho, betaAlpha, betaBeta, eta, churn, churnMin, churnMax } = settings;
  const { noiseScale, discardPenultimate, refinerAt } = settings;
  return {
    steps,
    sampler,
    schedule,
    sigmas: sigmas?.join(","),
    guidance,
    guidanceRescale: guidanceRescale === 0 ? undefined : guidanceRescale,
    clipSkip: clipSkip === 1 ? undefined : clipSkip,
    compat,
    ...{
      sigmaMin,
      sigmaMax,
      rho,
      betaAlpha,
      betaBeta,
      eta,
      churn,
      churnMin,
      churnMax,
      noiseScale,
      discardPenultimate,
      refinerAt,
    },
  };
}

/** A picture of a batch is recorded as it is made alone, but where one generator draws for them all. */
function noise({ compat, rng, batch, seedDelta, variation, resizeFrom }: Options, index: number): Settings {
  const together = drawsBatches(compat, rng);
  return {
    rng: rng ?? rulesOf(compat).source,
    seedDelta,
    variationSeed: variation && (together ? variation.seed : batchSeed(variation.seed, index)),
    variationStrength: variation?.strength,
    seedResize: resizeFrom && `${resizeFrom.width}x${resizeFrom.height}`,
    ...(together && batch > 1 ? { batch, batchIndex: index } : {}),
  };
}

function prompting({ emphasis, commaBacktrack, oldEdits, zeroTerminalSnr, prediction, sizes }: Options): Settings {
  return {
    emphasis,
    commaBacktrack,
    oldEdits,
    zeroSnr: zeroTerminalSnr,
    prediction: prediction === "auto" ? undefined : prediction,
    originalSize: sizes?.original && `${sizes.original.width}x${sizes.original.height}`,
    crop: sizes?.crop && `${sizes.crop.top},${sizes.crop.left}`,
    targetSize: sizes?.target && `${sizes.target.width}x${sizes.target.height}`,
  };
}

/** Sampler and schedule as they came to be: what the second pass takes over depends on what was said of the first. */
function secondPass(hires: HiresChoice, { settings: first, hires: second = first }: GeneratedImage): Settings {
  const { size, scale, steps, denoise, prompt, negative, guidance } = hires;
  const same = second.sampler === first.sampler && second.schedule === first.schedule;
  return {
    hiresScale: size ? undefined : (scale ?? defaultHiresScale),
    hiresResize: size && `${size.width}x${size.height}`,
    hiresSteps: steps,
    hiresStrength: denoise ?? defaultHiresDenoise,
    hiresUpscaler: upscalerLabel(hires),
    ...(same ? {} : { hiresSampler: second.sampler, hiresSchedule: second.schedule ?? "automatic" }),
    hiresPrompt: prompt,
    hiresNegative: negative,
    hiresGuidance: guidance,
  };
}

function starting({ resizeMode, background }: Img2imgOptions, { settings }: GeneratedImage): Settings {
  const hex = background.map((value) => value.toString(16).padStart(2, "0")).join("");
  return { strength: settings.strength, stepRule: settings.stepRule, resizeMode, background: `#${hex}` };
}

function masking({ maskInvert, maskBlur, fill, onlyMasked, padding }: InpaintOptions): Settings {
  return { maskInvert: maskInvert || undefined, maskBlur, fill, onlyMasked: onlyMasked || undefined, padding };
}
