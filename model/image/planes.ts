/** @file Layouts of what a caller sees: latents as planes, pictures as RGBA. */
import type { Raster } from "./index.ts";

/** RGB -> RGBA bytes. */
export function opaque({ width, height, data }: Raster): Uint8Array {
  const rgba = new Uint8Array(4 * width * height).fill(255);
  for (let p = 0; p < width * height; p++) rgba.set(data.subarray(3 * p, 3 * p + 3), 4 * p);
  return rgba;
}

/** [1, 4, H, W] -> [1, H, W, 4] */
export function toNHWC(planes: Float32Array, height: number, width: number): Float32Array {
  const pixels = height * width;
  const channels = planes.length / pixels;
  return Float32Array.from({ length: planes.length }, (_, i) => planes[(i % channels) * pixels + Math.floor(i / channels)]!);
}

/** [1, H, W, 4] -> [1, 4, H, W] */
export function toNCHW(values: Float32Array, height: number, width: number): Float32Array {
  const pixels = height * width;
  const channels = values.length / pixels;
  return Float32Array.from({ length: values.length }, (_, i) => values[(i % pixels) * channels + Math.floor(i / pixels)]!);
}
