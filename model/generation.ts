/** @file What a caller asks of a picture, and what it gets. */

import type { Tensor } from "../engine/index.ts";
import { UsageError } from "../engine/index.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { checkInit, type InitOptions, sizeFrom, strengthOf } from "./img2img.ts";
import { randomSeed, type StepRule } from "./sampling/index.ts";

export interface GenerateOptions {
  /** What the picture should not show. Default: nothing. */
  readonly negative?: string | undefined;
  /** Pixels; multiples of 8. Default: the checkpoint's size. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly steps?: number | undefined;
  /** CFG scale; 1 runs the U-Net without the negative prompt. */
  readonly guidance?: number | undefined;
  /** 0 .. 2^64 - 1; default: random. */
  readonly seed?: bigint | undefined;
  /** Names as in `samplers` and `schedules` of model/sampling, or A1111's labels. */
  readonly sampler?: string | undefined;
  readonly schedule?: string | undefined;
  readonly eta?: number | undefined;
  /** Initial unit noise [1, 4, H/8, W/8] in the place of the seed's; the seed's generator still draws its own and drops it. */
  readonly noise?: Float32Array | undefined;
  /** A picture to start from. Width and height default to its own (img2img.ts says how). */
  readonly init?: InitOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Yielded after each step; `latent` is valid until the generator is resumed. */
export interface GenerateStep {
  /** 1 .. steps. */
  readonly step: number;
  readonly steps: number;
  readonly sigma: number;
  /** f32 [1, H/8, W/8, 4]. */
  readonly latent: Tensor;
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
  readonly seconds: { readonly text: number; readonly denoise: number; readonly decode: number };
  /** What a user should know, such as tokens that were cut. */
  readonly warnings: readonly string[];
}

export interface Settings {
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidance: number;
  readonly seed: bigint;
  readonly sampler: string;
  readonly schedule: string | undefined;
  readonly eta: number | undefined;
  /** Undefined without `init`. */
  readonly strength: number | undefined;
  readonly stepRule: StepRule | undefined;
}

/** Fills in the checkpoint's defaults and checks the numbers. Throws UsageError. */
export function settingsOf(config: ModelConfig, options: GenerateOptions): Settings {
  const { init } = options;
  if (init) checkInit(init);
  const { defaults } = config;
  const usual = init ? sizeFrom(init, defaults) : defaults;
  const size = { width: options.width ?? usual.width, height: options.height ?? usual.height };
  for (const [name, value] of Object.entries(size)) {
    if (!Number.isInteger(value) || value < 64 || value % 8 !== 0) {
      throw new UsageError(`INVALID_${name.toUpperCase()}`, `${name} ${value} is no multiple of 8 from 64 up`, {
        hint: `the nearest that is: ${Math.max(64, Math.round(value / 8) * 8 || 64)}`,
        context: { [name]: value },
      });
    }
  }
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
    steps: options.steps ?? defaults.steps,
    seed: options.seed ?? randomSeed(),
    eta: options.eta,
    strength: init && strengthOf(init, config.variant),
    stepRule: init?.stepRule,
  };
}
