/** @file Paints over the masked part of a picture with the colours around it: the A1111 web UI's masked content "fill" (modules/masking.py). */
import { gaussianBlur } from "./gaussian-blur.ts";
import { blank, type Raster } from "./raster.ts";

/** Blurs of the picture without its masked part, each laid over the ones before it, so many times. */
const layers: readonly (readonly [radius: number, times: number])[] = [
  [256, 1],
  [64, 1],
  [16, 2],
  [4, 4],
  [2, 2],
  [0, 1],
];

/** image RGB, mask of the same size (255: paint over) -> RGB. */
export function fillMasked(image: Raster, mask: Raster): Raster {
  const pixels = image.width * image.height;
  const known = withoutMasked(image, mask); // RGB times alpha, and alpha
  const color = new Float64Array(3 * pixels); // times `cover`, which goes to 1 where there is anything to see
  const cover = new Float64Array(pixels);
  for (const [radius, times] of layers) {
    const { data } = gaussianBlur(known, radius);
    for (let p = 0; p < pixels; p++) {
      const alpha = data[4 * p + 3]! / 255;
      // `times` layers over each other let (1 - alpha)^times of what is below through.
      const through = (1 - alpha) ** times;
      cover[p] = cover[p]! * through + 1 - through;
      for (let c = 0; c < 3; c++) {
        const own = alpha > 0 ? Math.min(data[4 * p + c]! / alpha, 255) : 0;
        color[3 * p + c] = color[3 * p + c]! * through + own * (1 - through);
      }
    }
  }
  const result = blank(image, 3);
  for (let i = 0; i < 3 * pixels; i++) {
    const share = cover[Math.floor(i / 3)]!;
    result.data[i] = share > 0 ? Math.min(Math.round(color[i]! / share), 255) : 0;
  }
  return result;
}

/** RGBA with colours multiplied by alpha, and alpha 0 where the mask is full. */
function withoutMasked(image: Raster, mask: Raster): Raster {
  const result = blank(image, 4);
  for (let p = 0; p < image.width * image.height; p++) {
    const alpha = 255 - mask.data[p]!;
    for (let c = 0; c < 3; c++) result.data[4 * p + c] = Math.round((image.data[3 * p + c]! * alpha) / 255);
    result.data[4 * p + 3] = alpha;
  }
  return result;
}
