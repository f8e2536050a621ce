/**
 * @file What inpainting asks for, and its work on the CPU: before the U-Net, the mask and what stands under it; after the VAE, the old
 * pixels put back. As the A1111 web UI does it (modules/processing.py, StableDiffusionProcessingImg2Img).
 */
import { UsageError } from "../../engine/errors.ts";
import {
  type Box,
  binary,
  composite,
  crop,
  fillMasked,
  fitTo,
  gaussianBlur,
  greyOf,
  grownTo,
  inverted,
  maskedRegion,
  paste,
  type Raster,
  type ResizeMode,
  type Size,
} from "../image/index.ts";

/** What the run starts from under the mask: colours from around it, what is there, the run's own noise, or nothing. */
export type MaskedContent = "fill" | "original" | "noise" | "nothing";
export const maskedContents: readonly MaskedContent[] = ["fill", "original", "noise", "nothing"];

export interface InpaintOptions {
  /** White is painted anew; grey from the middle up counts as white. Resized as the image is. */
  readonly mask: Raster;
  readonly invert?: boolean | undefined;
  /** Standard deviation of the mask's soft edge, in pixels of the picture. Default 4. */
  readonly blur?: number | undefined;
  /** Default: original. */
  readonly fill?: MaskedContent | undefined;
  /** Make only the region around the mask, at the whole size asked for, and put it back into the image. */
  readonly onlyMasked?: boolean | undefined;
  /** Pixels of the image around the mask that such a region shows. Default 32. */
  readonly padding?: number | undefined;
}

/** A picture ready for the VAE. */
export interface Prepared {
  /** RGB, of the size that is made. */
  readonly image: Raster;
  /** The blurred mask of the same size; undefined: everything is made anew. */
  readonly mask: Raster | undefined;
  readonly warnings: readonly string[];
  /** What the VAE decoded, RGB, to the picture that is kept. */
  finish(made: Raster): Raster;
}

export const inpaintDefaults = { blur: 4, padding: 32, fill: "original" } as const;
const mostBlur = 256;
const mostPadding = 4096;

/** @throws UsageError INVALID_MASK_BLUR, INVALID_PADDING */
export function checkInpaint({ blur = 0, padding = 0 }: InpaintOptions): void {
  if (!(blur >= 0 && blur <= mostBlur))
    throw new UsageError("INVALID_MASK_BLUR", `mask blur: ${blur} is not within 0 and ${mostBlur}`, {
      hint: "4 is usual, 0 gives a hard edge",
      context: { blur },
    });
  if (!(Number.isInteger(padding) && padding >= 0 && padding <= mostPadding))
    throw new UsageError("INVALID_PADDING", `padding: ${padding} is no whole number from 0 to ${mostPadding}`, {
      hint: "32 is usual",
      context: { padding },
    });
}

/** image RGB, of any size. */
export function prepareInpaint(image: Raster, options: InpaintOptions, size: Size, mode: ResizeMode): Prepared {
  const { blur = inpaintDefaults.blur, padding = inpaintDefaults.padding, fill = inpaintDefaults.fill } = options;
  const warnings: string[] = [];
  const sameSize = options.mask.width === image.width && options.mask.height === image.height;
  if (!sameSize) {
    const [from, to] = [options.mask, image].map(({ width, height }) => `${width}x${height}`);
    warnings.push(`the mask is ${from} and the image ${to}: the mask is stretched`);
  }
  const hard = binary(fitTo(greyOf(options.mask), image, "stretch"));
  const wanted = options.invert === true ? inverted(hard) : hard;
  if (wanted.data.every((value) => value === 0)) warnings.push("the mask is empty: nothing is painted");
  if (options.onlyMasked) {
    const soft = gaussianBlur(wanted, blur);
    const region = maskedRegion(soft, padding);
    if (region) return onlyRegion(image, soft, grownTo(region, size, image), size, fill, warnings);
  }

  const base = fitTo(image, size, mode);
  const mask = gaussianBlur(binary(fitTo(wanted, size, mode)), blur);
  return {
    image: fill === "original" ? base : fillMasked(base, mask),
    mask,
    warnings,
    finish: (made) => composite(base, made, mask),
  };
}

/** The region is made at the whole size, and goes back into the image at its own. */
function onlyRegion(
  image: Raster,
  mask: Raster,
  region: Box,
  size: Size,
  fill: MaskedContent,
  warnings: readonly string[],
): Prepared {
  const part = fitTo(crop(image, region), size, "fill");
  const partMask = fitTo(crop(mask, region), size, "fill");
  return {
    image: fill === "original" ? part : fillMasked(part, partMask),
    mask: partMask,
    warnings,
    finish(made) {
      const painted = { ...image, data: image.data.slice() };
      paste(painted, fitTo(made, region, "crop"), region);
      return composite(image, painted, mask);
    },
  };
}
