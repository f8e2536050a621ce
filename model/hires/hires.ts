/** @file The second pass over an enlarged picture ("hires fix"): what may be asked of it, and its latent to start from. */
import { UsageError } from "../../engine/errors.ts";
import { mostSide, type Size } from "../image/index.ts";
import type { GenerateOptions, Settings } from "../picture/generation.ts";
import type { PixelUpscaler } from "../upscale/index.ts";
import { type LatentUpscaler, latentUpscaler } from "./latent-upscalers.ts";
import { defaultHiresScale, type HiresSize, type HiresTarget, hiresTarget } from "./target-size.ts";

export interface HiresOptions extends HiresSize {
  /** Steps of the second pass, all of which run; default: the first one's. */
  readonly steps?: number | undefined;
  /** 0..1: how much to change the enlarged picture. Default 0.7. */
  readonly denoise?: number | undefined;
  /** Name of a latent upscaler (default "latent"), or one of pixels, with the VAE before and after it. */
  readonly upscaler?: string | PixelUpscaler | undefined;
  /** Default: the first pass's. */
  readonly sampler?: string | undefined;
  readonly schedule?: string | undefined;
  readonly prompt?: string | undefined;
  readonly negative?: string | undefined;
  readonly guidance?: number | undefined;
}

/** @throws UsageError HIRES_WITH_INIT */
export function expectNoInit(hires: unknown, init: unknown): void {
  if (hires === undefined || init === undefined) return;
  throw new UsageError("HIRES_WITH_INIT", "hires: a second pass follows a picture made from noise, not one made from a picture", {
    hint: "give a larger size instead, or take the result to a second img2img",
  });
}

export const defaultHiresDenoise = 0.7;
const mostScale = 8;

export type HiresUpscaler =
  | { readonly kind: "latent"; readonly upscaler: LatentUpscaler }
  | { readonly kind: "pixels"; readonly upscaler: PixelUpscaler };

/** What was asked for, checked. */
export interface Hires {
  readonly target: HiresTarget;
  /** As strength of a run from a picture; the web UI holds it below 1, so that the picture is never quite lost. */
  readonly strength: number;
  readonly upscaler: HiresUpscaler;
}

/** `cell`: the VAE's factor. @throws UsageError INVALID_HIRES_SCALE, INVALID_HIRES_SIZE, INVALID_HIRES_DENOISE, UNKNOWN_UPSCALER */
export function checkHires(options: HiresOptions, first: Size, cell: number): Hires {
  const { scale = defaultHiresScale, width = 0, height = 0, denoise = defaultHiresDenoise, upscaler = "latent" } = options;
  if (!(scale >= 1 && scale <= mostScale)) {
    throw new UsageError("INVALID_HIRES_SCALE", `hires scale: ${scale} is not within 1 and ${mostScale}`, {
      hint: `${defaultHiresScale} is usual`,
      context: { scale },
    });
  }
  const target = hiresTarget(first, options, cell);
  const { enlarged, size } = target;
  const sides = [width, height, enlarged.width, enlarged.height, size.width, size.height];
  if (!sides.every((side) => Number.isInteger(side) && side >= 0 && side <= mostSide) || Math.min(size.width, size.height) < 64) {
    const asked = width === 0 && height === 0 ? `hires scale: ${scale}` : `hires size: ${width}x${height}`;
    const isCut = enlarged.width !== size.width || enlarged.height !== size.height;
    const cut = isCut ? `, cut from ${enlarged.width}x${enlarged.height}` : "";
    throw new UsageError("INVALID_HIRES_SIZE", `${asked} makes a picture of ${size.width}x${size.height}${cut}`, {
      hint: `sides may have 64 to ${mostSide} pixels`,
      context: { scale, width, height },
    });
  }
  if (!(denoise >= 0 && denoise <= 1)) {
    throw new UsageError("INVALID_HIRES_DENOISE", `hires denoise: ${denoise} is not within 0 and 1`, {
      hint: `${defaultHiresDenoise} is usual; latent upscalers need 0.5 and more`,
      context: { denoise },
    });
  }
  const found: HiresUpscaler =
    typeof upscaler === "string" ? { kind: "latent", upscaler: latentUpscaler(upscaler) } : { kind: "pixels", upscaler };
  return { target, strength: Math.min(denoise, 0.999), upscaler: found };
}

/** The options with which the second pass is planned: the first one's where it has none of its own. */
export function secondPassOptions(options: GenerateOptions, first: Settings, hires: HiresOptions, size: Size): GenerateOptions {
  const { sampler = options.sampler, schedule = options.schedule, negative = options.negative } = hires;
  const { guidance = options.guidance, steps } = hires;
  const own = { ...size, sampler, schedule, negative, guidance, steps: steps || first.steps };
  // It begins within a schedule of its own: noise and levels given for the first pass mean nothing there.
  return { ...options, ...own, sigmas: undefined, noise: undefined, hires: undefined };
}

/** latent [1, h, w, C] without what the target cuts away. `cell`: the VAE's factor. */
export function cutLatent(latent: Float32Array, { enlarged, cut, size }: HiresTarget, cell: number): Float32Array {
  const [from, to] = [enlarged, size].map(({ width, height }) => ({ width: width / cell, height: height / cell })) as [
    Size,
    Size,
  ];
  const channels = latent.length / (from.width * from.height);
  const result = new Float32Array(to.width * to.height * channels);
  for (let y = 0; y < to.height; y++) {
    const begin = ((cut.top + y) * from.width + cut.left) * channels;
    result.set(latent.subarray(begin, begin + to.width * channels), y * to.width * channels);
  }
  return result;
}
