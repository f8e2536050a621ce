/** @file A picture in memory, and the pieces of it. Plain typed arrays: the same in Node and in the browser. */

export interface Raster {
  readonly width: number;
  readonly height: number;
  /** 1 (a mask), 3 (RGB) or 4 (RGBA). */
  readonly channels: number;
  /** Rows from the top, channels of a pixel side by side, 0..255. */
  readonly data: Uint8Array;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Pixels of the longest side that a picture may have. */
export const mostSide = 16_384;

/** A part of a picture, in pixels. */
export interface Box extends Size {
  readonly left: number;
  readonly top: number;
}

export function blank({ width, height }: Size, channels: number): Raster {
  return { width, height, channels, data: new Uint8Array(width * height * channels) };
}

/** The part of a raster within `box`, which lies inside it. */
export function crop(raster: Raster, { left, top, width, height }: Box): Raster {
  const part = blank({ width, height }, raster.channels);
  paste(part, raster, { left: -left, top: -top });
  return part;
}

/** Writes `source` into `target`, its corner at (left, top); what lies outside is left out. Both have the same channels. */
export function paste(target: Raster, source: Raster, { left, top }: { readonly left: number; readonly top: number }): void {
  const [first, last] = [Math.max(left, 0), Math.min(left + source.width, target.width)];
  if (first >= last) return;
  const { channels } = target;
  for (let y = Math.max(top, 0); y < Math.min(top + source.height, target.height); y++) {
    const from = ((y - top) * source.width + first - left) * channels;
    target.data.set(source.data.subarray(from, from + (last - first) * channels), (y * target.width + first) * channels);
  }
}

/** RGBA or RGB -> RGB, alpha dropped. */
export function rgbOf({ width, height, channels, data }: Raster): Raster {
  if (channels === 3) return { width, height, channels, data };
  const rgb = blank({ width, height }, 3);
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < 3; c++) rgb.data[3 * p + c] = data[channels * p + (channels === 1 ? 0 : c)]!;
  }
  return rgb;
}

/** RGB -> its grey (ITU-R 601 luma, in the integers that PIL's convert("L") uses). */
export function greyOf({ width, height, channels, data }: Raster): Raster {
  if (channels === 1) return { width, height, channels, data };
  const grey = blank({ width, height }, 1);
  for (let p = 0; p < width * height; p++) {
    const [r, g, b] = [data[channels * p]!, data[channels * p + 1]!, data[channels * p + 2]!];
    grey.data[p] = (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16;
  }
  return grey;
}
