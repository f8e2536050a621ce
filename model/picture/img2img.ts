/** @file What a run that starts from a picture asks for, checked and brought to the picture's size. */
import { UsageError } from "../../engine/errors.ts";
import type { Defaults, Variant } from "../checkpoint/config.ts";
import { fitTo, type Raster, type ResizeMode, rgbOf, type Size } from "../image/index.ts";
import type { StepRule } from "../sampling/index.ts";
import { checkInpaint, type InpaintOptions, type Prepared, prepareInpaint } from "./inpaint.ts";

export interface InitOptions {
  /** RGB (RGBA without its alpha), of any size. */
  readonly image: Raster;
  /** 0..1: how much to change. 0 gives the VAE's reconstruction, 1 what the prompt gives alone. Default 0.75; 1 where the model edits pictures (instruct-pix2pix). */
  readonly strength?: number | undefined;
  /** Whether strength shortens the run or lengthens its schedule. Default: scaled. */
  readonly stepRule?: StepRule | undefined;
  /** Default: stretch. */
  readonly resizeMode?: ResizeMode | undefined;
  /** instruct-pix2pix: how strictly to follow the picture. Default 1.5. */
  readonly imageGuidance?: number | undefined;
  /** Only where a mask says so. */
  readonly inpaint?: InpaintOptions | undefined;
}

export const defaultImageGuidance = 1.5;
const mostImageGuidance = 100;
/** A picture of up to so many times the checkpoint's own number of pixels keeps its size. */
const keptArea = 2;
const leastSide = 64;

/** @throws UsageError INVALID_INIT, INVALID_STRENGTH, INVALID_IMAGE_GUIDANCE, INVALID_MASK_BLUR, INVALID_PADDING */
export function checkInit({ image, strength = 0, imageGuidance = 0, inpaint }: InitOptions): void {
  checkRaster("image", image, [3, 4]);
  if (inpaint) checkRaster("mask", inpaint.mask, [1, 3, 4]);
  if (!(strength >= 0 && strength <= 1))
    throw new UsageError("INVALID_STRENGTH", `strength: ${strength} is not within 0 and 1`, {
      hint: "0 keeps the picture, 1 replaces it",
      context: { strength },
    });
  if (!(imageGuidance >= 0 && imageGuidance <= mostImageGuidance))
    throw new UsageError("INVALID_IMAGE_GUIDANCE", `image guidance: ${imageGuidance} is not within 0 and ${mostImageGuidance}`, {
      hint: "1 to 2 is usual",
      context: { imageGuidance },
    });
  if (inpaint) checkInpaint(inpaint);
}

function checkRaster(name: string, { width, height, channels, data }: Raster, allowed: readonly number[]): void {
  const whole = [width, height].every((side) => Number.isInteger(side) && side > 0);
  if (whole && allowed.includes(channels) && data.length === width * height * channels) return;
  throw new UsageError(
    "INVALID_INIT",
    `init: the ${name} has ${data.length} bytes for ${width} x ${height} pixels of ${channels} channels`,
    {
      hint: `give one byte for each of ${allowed.join(", ").replace(/, (\d)$/, " or $1")} channels of each pixel`,
      context: { width, height, channels, bytes: data.length },
    },
  );
}

export function strengthOf({ strength }: InitOptions, variant: Variant): number {
  return strength ?? (variant === "pix2pix" ? 1 : 0.75);
}

/**
 * The size to make from a picture where none is asked for: its own in multiples of `cell`, or, where that is more than twice the pixels
 * of the checkpoint's own size, or one side would be too short, its proportions in that many pixels. A masked region is made in the checkpoint's own size.
 */
export function sizeFrom({ image, inpaint }: InitOptions, defaults: Defaults, cell: number): Size {
  if (inpaint?.onlyMasked) return { width: defaults.width, height: defaults.height };
  const own = defaults.width * defaults.height;
  const area = image.width * image.height;
  const scale = area > keptArea * own ? Math.sqrt(own / area) : 1;
  const rounded = (side: number) => Math.max(Math.round((side * scale) / cell) * cell, leastSide);
  return { width: rounded(image.width), height: rounded(image.height) };
}

/** The picture, and the mask if there is one, in the size that is made. */
export function prepareInit({ image, resizeMode = "stretch", inpaint }: InitOptions, size: Size): Prepared {
  const rgb = rgbOf(image);
  if (inpaint) return prepareInpaint(rgb, inpaint, size, resizeMode);
  return { image: fitTo(rgb, size, resizeMode), mask: undefined, warnings: [], finish: (made) => made };
}
