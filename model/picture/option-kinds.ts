/** @file What each option of a picture must be. That numbers lie within their ranges is checked where they are used. */
import {
  aBigint,
  aBoolean,
  aFunction,
  aNumber,
  anAbortSignal,
  aString,
  aWholeNumber,
  bytes,
  expectKind,
  expectKinds,
  floats,
  type Kind,
  listOf,
  needed,
  oneOf,
  record,
  UsageError,
  withMethods,
} from "../../engine/index.ts";
import type { HiresOptions } from "../hires/index.ts";
import { resizeModes } from "../image/index.ts";
import { compatibilities, noiseSources, stepRules } from "../sampling/index.ts";
import { emphases } from "../text/emphases.ts";
import type { GenerateOptions } from "./generation.ts";
import type { InitOptions } from "./img2img.ts";
import { type InpaintOptions, maskedContents } from "./inpaint.ts";

/** Of a batch: as many as ComfyUI takes. */
const mostPictures = 4096;

const size = record({ width: needed(aNumber), height: needed(aNumber) });
const raster = needed(
  record({ width: needed(aNumber), height: needed(aNumber), channels: needed(aNumber), data: needed(bytes) }),
);
const model: Kind = {
  what: "a model of StableDiffusion.load",
  is: (value) => withMethods("", "generate").is(value) && (value as { loaded?: unknown }).loaded !== undefined,
};

const inpaint: Record<keyof InpaintOptions, Kind> = {
  mask: raster,
  invert: aBoolean,
  blur: aNumber,
  fill: oneOf(...maskedContents),
  onlyMasked: aBoolean,
  padding: aNumber,
};

const init: Record<keyof InitOptions, Kind> = {
  image: raster,
  strength: aNumber,
  stepRule: oneOf(...stepRules),
  resizeMode: oneOf(...resizeModes),
  imageGuidance: aNumber,
  inpaint: record(inpaint),
};

const upscaler: Kind = {
  what: "the name of a latent upscaler, or an upscaler of pixels",
  is: (value) => typeof value === "string" || withMethods("", "upscale").is(value),
};

const hires: Record<keyof HiresOptions, Kind> = {
  scale: aNumber,
  width: aNumber,
  height: aNumber,
  steps: aNumber,
  denoise: aNumber,
  upscaler,
  sampler: aString,
  schedule: aString,
  prompt: aString,
  negative: aString,
  guidance: aNumber,
};

const lora = record({
  lora: needed(record({ adapters: needed(listOf(record({}))) })),
  text: needed(aNumber),
  unet: needed(aNumber),
  rank: aWholeNumber,
  tag: aString,
});
const hypernetwork = record({
  hypernetwork: needed(record({ file: needed(record({})) })),
  strength: needed(aNumber),
  tag: aString,
});

const kinds: Record<keyof GenerateOptions, Kind> = {
  negative: aString,
  width: aNumber,
  height: aNumber,
  steps: aNumber,
  guidance: aNumber,
  seed: aBigint,
  batch: record({ index: needed(aWholeNumber), size: needed(aWholeNumber) }),
  sampler: aString,
  schedule: aString,
  guidanceRescale: aNumber,
  zeroTerminalSnr: aBoolean,
  clipSkip: aNumber,
  sizes: record({ original: size, crop: record({ top: needed(aNumber), left: needed(aNumber) }), target: size }),
  noise: floats,
  hires: record(hires),
  tiling: aBoolean,
  vaeTile: aNumber,
  previews: aBoolean,
  refiner: record({ model: needed(model), at: aNumber }),
  init: record(init),
  signal: anAbortSignal,
  log: withMethods("a RunLog", "of", "add", "forget"),
  sigmas: listOf(aNumber),
  sigmaMin: aNumber,
  sigmaMax: aNumber,
  rho: aNumber,
  betaAlpha: aNumber,
  betaBeta: aNumber,
  eta: aNumber,
  churn: aNumber,
  churnMin: aNumber,
  churnMax: aNumber,
  noiseScale: aNumber,
  discardPenultimate: aBoolean,
  compat: oneOf(...Object.keys(compatibilities)),
  emphasis: oneOf(...emphases),
  commaBacktrack: { what: "a whole number from 0 up", is: (value) => aWholeNumber.is(value) && Number(value) >= 0 },
  oldEdits: aBoolean,
  embeddings: { ...withMethods("an EmbeddingSet", "vectors", "id"), parts: { names: needed(listOf(record({}))) } },
  loras: listOf(lora),
  findLora: aFunction,
  hypernetworks: listOf(hypernetwork),
  findHypernetwork: aFunction,
  rng: oneOf(...noiseSources),
  seedDelta: aWholeNumber,
  variation: record({ seed: needed(aBigint), strength: needed(aNumber) }),
  resizeFrom: size,
};

/** @throws UsageError INVALID_OPTION, INVALID_SEED, INVALID_BATCH */
export function expectGenerateOptions(prompt: unknown, options: GenerateOptions): void {
  expectKind("generate", "the prompt", prompt, needed(aString));
  expectKinds("generate", options, kinds);
  for (const seed of [options.seed, options.variation?.seed]) if (seed !== undefined) expectSeed(seed);
  const { batch } = options;
  if (batch && !(batch.index >= 0 && batch.index < batch.size && batch.size <= mostPictures))
    throw new UsageError(
      "INVALID_BATCH",
      `batch: ${batch.index} of ${batch.size} is no place in a batch of 1 to ${mostPictures}`,
      {
        hint: "the first picture of a batch has the index 0",
        context: { index: batch.index, size: batch.size },
      },
    );
}

function expectSeed(seed: bigint): void {
  if (seed === BigInt.asUintN(64, seed)) return;
  throw new UsageError("INVALID_SEED", `seed: ${seed} is not within 0 and 2^64 - 1`, {
    hint: "leave it out for a random one",
    context: { seed: String(seed) },
  });
}
