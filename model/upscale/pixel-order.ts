/** @file Pixels into channels and back: torch's pixel_unshuffle and pixel_shuffle, where a picture enters and leaves a network. */
import { type Box, crop, type Raster } from "../image/index.ts";
import { blankFloats, type FloatRaster } from "./tiles.ts";

export type ColourOrder = "rgb" | "bgr";

/** Where colour c of a picture stands among a network's. */
const places: Readonly<Record<ColourOrder, readonly [number, number, number]>> = { rgb: [0, 1, 2], bgr: [2, 1, 0] };

/**
 * A part of a picture (RGB) as the network's input [1, h/u, w/u, 3 u^2 padded to fours], 0..1: channel c u^2 + dy u + dx is colour c at
 * (dy, dx) of a square of u x u. Where u does not divide the part, it is continued by its mirror image.
 */
export function networkInput(picture: Raster, box: Box, unshuffle: number, order: ColourOrder) {
  const part = crop(picture, box);
  const [height, width] = [Math.ceil(box.height / unshuffle), Math.ceil(box.width / unshuffle)];
  const area = unshuffle ** 2;
  const channels = Math.ceil((3 * area) / 4) * 4;
  const values = new Float32Array(height * width * channels);
  for (let y = 0; y < height * unshuffle; y++) {
    for (let x = 0; x < width * unshuffle; x++) {
      const from = 3 * (mirrored(y, box.height) * box.width + mirrored(x, box.width));
      const [down, right] = [Math.floor(y / unshuffle), Math.floor(x / unshuffle)];
      const to = (down * width + right) * channels + (y % unshuffle) * unshuffle + (x % unshuffle);
      for (let c = 0; c < 3; c++) values[to + places[order][c]! * area] = part.data[from + c]! / 255;
    }
  }
  return { values, shape: [1, height, width, channels] as const };
}

function mirrored(index: number, length: number): number {
  return index < length ? index : Math.max(2 * length - 2 - index, 0);
}

/** What a network of pixels gave [1, H, W, channels], 0..1, cut to a size. */
export function networkOutput(
  values: Float32Array,
  given: { readonly width: number; readonly channels: number },
  size: { readonly width: number; readonly height: number },
  order: ColourOrder,
): FloatRaster {
  const result = blankFloats(size);
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const from = (y * given.width + x) * given.channels;
      const to = 3 * (y * size.width + x);
      for (let c = 0; c < 3; c++) result.data[to + c] = 255 * clamped(values[from + places[order][c]!]!);
    }
  }
  return result;
}

/** What a network gave for each pixel, [1, h, w, 3 s^2 and padding], shuffled into s x s pixels and added to the pixel itself. */
export function shuffledOutput(
  values: Float32Array,
  channels: number,
  part: Raster,
  scale: number,
  order: ColourOrder,
): FloatRaster {
  const result = blankFloats({ width: part.width * scale, height: part.height * scale });
  for (let y = 0; y < result.height; y++) {
    for (let x = 0; x < result.width; x++) {
      const pixel = Math.floor(y / scale) * part.width + Math.floor(x / scale);
      const within = (y % scale) * scale + (x % scale);
      const to = 3 * (y * result.width + x);
      for (let c = 0; c < 3; c++) {
        const detail = values[pixel * channels + places[order][c]! * scale ** 2 + within]!;
        result.data[to + c] = 255 * clamped(detail + part.data[3 * pixel + c]! / 255);
      }
    }
  }
  return result;
}

function clamped(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}
