/** @file Masks of 8 bits: 255 is to be painted anew, 0 stays. */
import { blank, type Raster, type Size } from "./raster.ts";
import { resize, resizeNearest } from "./resample.ts";

/** Grey above the middle becomes 255, the rest 0. */
export function binary(mask: Raster): Raster {
  return mapped(mask, (value) => (value > 127 ? 255 : 0));
}

export function inverted(mask: Raster): Raster {
  return mapped(mask, (value) => 255 - value);
}

/** The mask in the latent's size, 0 or 1: bicubic and rounded, as the A1111 web UI blends latents. */
export function latentMask(mask: Raster, size: Size): Float32Array {
  return Float32Array.from(resize(mask, size, "bicubic").data, (value) => (value > 127 ? 1 : 0));
}

/** The mask in the latent's size, 0 or 1: the nearest pixel's, as inpainting models were trained. */
export function nearestMask(mask: Raster, size: Size): Float32Array {
  return Float32Array.from(resizeNearest(mask, size).data, (value) => (value > 127 ? 1 : 0));
}

/**
 * The old picture where the mask is 0, byte for byte; the new one where it is 128 or more; mixed between. All have the same size.
 * base and made RGB -> RGB.
 */
export function composite(base: Raster, made: Raster, mask: Raster): Raster {
  const result = blank(base, 3);
  for (let p = 0; p < base.width * base.height; p++) {
    const share = Math.min(2 * mask.data[p]!, 255);
    for (let c = 3 * p; c < 3 * p + 3; c++)
      result.data[c] = Math.round((base.data[c]! * (255 - share) + made.data[c]! * share) / 255);
  }
  return result;
}

function mapped(mask: Raster, change: (value: number) => number): Raster {
  return { ...mask, data: mask.data.map(change) };
}
