/** @file What a caller asks of a picture, and what it gets. */

import type { Tensor } from "../../engine/index.ts";
import { UsageError } from "../../engine/index.ts";
import type { HypernetworkOptions, HypernetworkUse } from "../addons/hypernetwork-requests.ts";
import type { LoraOptions } from "../addons/lora-requests.ts";
import type { LoraUse } from "../addons/lora-set.ts";
import type { ModelConfig } from "../checkpoint/config.ts";
import type { RunLog } from "../denoiser/run-log.ts";
import type { HiresOptions } from "../hires/index.ts";
import { mostSide, type Size } from "../image/index.ts";
import type { StepPreview } from "../preview/index.ts";
import { type PlanOptions, randomSeed, type StepRule } from "../sampling/index.ts";
import type { PromptOptions } from "../text/prompt-rules.ts";
import { checkTile } from "../vae/tiles.ts";
import { checkInit, type InitOptions, sizeFrom, strengthOf } from "./img2img.ts";
import { type BatchPlace, type PictureNoiseOptions, seedOf } from "./picture-noise.ts";
import { checkRefiner, defaultRefinerAt, type RefinerOptions } from "./refiner.ts";
import type { PictureSizes } from "./size-vector.ts";

/** How noise levels are chosen and walked, beyond sampler, schedule and steps. */
type SamplerTuning = Pick<
  PlanOptions,
  | "sigmas"
  | "sigmaMin"
  | "sigmaMax"
  | "rho"
  | "betaAlpha"
  | "betaBeta"
  | "eta"
  | "churn"
  | "churnMin"
  | "churnMax"
  | "noiseScale"
  | "discardPenultimate"
  | "compat"
>;

export interface GenerateOptions
  extends SamplerTuning,
    PromptOptions,
    LoraOptions,
    HypernetworkOptions,
    Omit<PictureNoiseOptions, "seed" | "compat"> {
  /** What the picture should not show. Default: nothing. */
  readonly negative?: string | undefined;
  /** Pixels; multiples of the VAE's factor, 8. Default: the checkpoint's size. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly steps?: number | undefined;
  /** CFG scale; 1 runs the U-Net without the negative prompt. */
  readonly guidance?: number | undefined;
  /** 0 .. 2^64 - 1; default: random. Of a picture in a batch: the first one's. */
  readonly seed?: bigint | undefined;
  readonly batch?: BatchPlace | undefined;
  /** Names as in `samplers` and `schedules` of model/sampling, or A1111's labels. */
  readonly sampler?: string | undefined;
  readonly schedule?: string | undefined;
  /** 0..1: how far the guided output gets the spread of the prompt's own (diffusers' guidance_rescale). Default 0. */
  readonly guidanceRescale?: number | undefined;
  /** Rescale the training schedule to zero terminal signal; default: as the checkpoint says. */
  readonly zeroTerminalSnr?: boolean | undefined;
  /** Which hidden state of the text encoder counts, from the end: 1 (default) is the last. SD 1 only. */
  readonly clipSkip?: number | undefined;
  /** SDXL: sizes that the model is told, in pixels. Default: the picture's own, nothing cropped. */
  readonly sizes?: Partial<PictureSizes> | undefined;
  /** Initial unit noise [1, 4, H/8, W/8] in the place of the seed's; the seed's generator still draws its own and drops it. */
  readonly noise?: Float32Array | undefined;
  /** A second pass over the enlarged picture. */
  readonly hires?: HiresOptions | undefined;
  /** The picture's edges continue each other: copies of it laid side by side have no seam. */
  readonly tiling?: boolean | undefined;
  /** The VAE works in tiles of this side, in pixels (a multiple of 64; 512 is usual). Default: only where the whole does not fit. */
  readonly vaeTile?: number | undefined;
  /** Steps come with `preview`. */
  readonly previews?: boolean | undefined;
  /** A second model for the last noise levels; with a second pass, of that pass. */
  readonly refiner?: RefinerOptions | undefined;
  /** A picture to start from. Width and height default to its own (img2img.ts says how). */
  readonly init?: InitOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Keeps what a second call needs to go on where this one was when its device was lost. */
  readonly log?: RunLog | undefined;
}

/** Yielded after each step; `latent` is valid until the generator is resumed. */
export interface GenerateStep {
  /** 1 .. steps; those of a second pass are counted on. */
  readonly step: number;
  readonly steps: number;
  readonly sigma: number;
  /** f32 [1, H/8, W/8, 4]. */
  readonly latent: Tensor;
  /** With the option `previews`. */
  readonly preview?: StepPreview | undefined;
}

export interface GeneratedImage {
  /** Of the picture; where only a masked region was made, the whole image's. */
  readonly width: number;
  readonly height: number;
  /** RGBA, 4 * width * height bytes, alpha 255. */
  readonly pixels: Uint8Array;
  readonly seed: bigint;
  /** The final latent in the U-Net's scale, [1, 4, H/8, W/8]. */
  readonly latent: Float32Array;
  readonly settings: Settings;
  /** Of the second pass, if there was one; the picture has its size. */
  readonly hires?: Settings | undefined;
  /** Side of the tiles that the VAE decoded in, asked for or not; undefined: the whole at once. */
  readonly vaeTile?: number | undefined;
  /** What was merged into the weights: `loras`, and those of the prompt's tags. */
  readonly loras: readonly LoraUse[];
  /** What changed the attentions: `hypernetworks`, and those of the prompt's tags. */
  readonly hypernetworks: readonly HypernetworkUse[];
  /** Names of the textual inversions that the prompts made use of. */
  readonly embeddings: readonly string[];
  readonly seconds: { readonly text: number; readonly denoise: number; readonly decode: number };
  /** What a user should know, such as tokens that were cut. */
  readonly warnings: readonly string[];
}

export interface Settings extends SamplerTuning {
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidance: number;
  readonly seed: bigint;
  readonly sampler: string;
  readonly schedule: string | undefined;
  readonly guidanceRescale: number;
  readonly clipSkip: number;
  /** Undefined without `init`. */
  readonly strength: number | undefined;
  readonly stepRule: StepRule | undefined;
  /** Undefined without a refiner. */
  readonly refinerAt: number | undefined;
}

/** Fills in the checkpoint's defaults and checks the numbers. Throws UsageError. */
export function settingsOf(config: ModelConfig, options: GenerateOptions): Settings {
  const { init, refiner } = options;
  if (init) checkInit(init);
  if (refiner) checkRefiner(refiner, config);
  const { defaults } = config;
  const cell = config.vae.factor;
  const usual = init ? sizeFrom(init, defaults, cell) : defaults;
  const size = { width: options.width ?? usual.width, height: options.height ?? usual.height };
  for (const [name, value] of Object.entries(size)) {
    if (!Number.isInteger(value) || value < 64 || value > mostSide || value % cell !== 0) {
      throw new UsageError(`INVALID_${name.toUpperCase()}`, `${name} ${value} is no multiple of ${cell} from 64 to ${mostSide}`, {
        hint: `the nearest that is: ${Math.min(Math.max(64, Math.round(value / cell) * cell || 64), mostSide)}`,
        context: { [name]: value },
      });
    }
  }
  if (options.vaeTile !== undefined) checkTile(options.vaeTile);
  if (options.noise) checkNoise(options.noise, size, config);
  const guidance = options.guidance ?? defaults.guidance;
  if (!Number.isFinite(guidance) || guidance < 0) {
    throw new UsageError("INVALID_GUIDANCE", `guidance ${guidance} is no number from 0 up`, {
      hint: "4 to 9 is usual, 1 switches it off",
    });
  }
  // A sampler named alone brings its own schedule; the checkpoint's default pair stands only together.
  const sampler = options.sampler ?? defaults.sampler;
  const schedule = options.schedule ?? (options.sampler === undefined ? defaults.schedule : undefined);
  return {
    ...size,
    guidance,
    sampler,
    schedule,
    // Levels of one's own say how many steps there are: what counts steps, prompt editing for one, goes by them.
    steps: options.sigmas ? Math.max(options.sigmas.length - 1, 0) : (options.steps ?? defaults.steps),
    seed: seedOf({ ...options, seed: options.seed ?? randomSeed() }),
    guidanceRescale: checkedRescale(options.guidanceRescale ?? 0),
    clipSkip: checkedClipSkip(options.clipSkip ?? 1, config),
    ...tuningOf(options),
    strength: init && strengthOf(init, config.variant),
    stepRule: init?.stepRule,
    refinerAt: refiner && (refiner.at ?? defaultRefinerAt),
  };
}

/** @throws UsageError INVALID_NOISE */
function checkNoise({ length }: Float32Array, { width, height }: Size, { vae }: ModelConfig): void {
  const shape = [1, vae.zChannels, height / vae.factor, width / vae.factor];
  const wanted = shape.reduce((product, side) => product * side, 1);
  if (length === wanted) return;
  throw new UsageError("INVALID_NOISE", `noise: it has ${length} values, a picture of ${width}x${height} takes ${wanted}`, {
    hint: `give unit noise of the shape [${shape.join(", ")}]`,
    context: { values: length, shape },
  });
}

function tuningOf(options: GenerateOptions): SamplerTuning {
  const { sigmas, sigmaMin, sigmaMax, rho, betaAlpha, betaBeta, eta, churn, churnMin, churnMax } = options;
  const { noiseScale, discardPenultimate, compat } = options;
  return {
    ...{ sigmas, sigmaMin, sigmaMax, rho, betaAlpha, betaBeta, eta, churn, churnMin, churnMax },
    ...{ noiseScale, discardPenultimate, compat },
  };
}

function checkedRescale(rescale: number): number {
  if (rescale >= 0 && rescale <= 1) return rescale;
  throw new UsageError("INVALID_GUIDANCE_RESCALE", `guidance rescale: ${rescale} is not within 0 and 1`, {
    hint: "0 is off, 0.7 is usual for models trained to zero terminal SNR",
  });
}

/** Of CLIP in SD 1; the other families have their own layer and no choice. */
function checkedClipSkip(skip: number, { text }: ModelConfig): number {
  const layers = text[0]?.layers ?? 12;
  if (Number.isInteger(skip) && skip >= 1 && skip <= layers) return skip;
  throw new UsageError("INVALID_CLIP_SKIP", `clip skip: ${skip} is not a whole number from 1 to ${layers}`, {
    hint: "1 is the last layer, 2 the one before it",
    context: { skip, layers },
  });
}
