/** @file A latent as a small picture, a pixel for each of its cells. */
import { blank, type Raster, type Size } from "../image/index.ts";
import { type LatentColours, latentColours } from "./colours.ts";

/** latent [1, h, w, 4] in the U-Net's scale, `size` its width and height -> RGB of that size. */
export function latentPreview(latent: Float32Array, size: Size, scaleFactor: number): Raster {
  const colours = latentColours(scaleFactor);
  const picture = blank(size, 3);
  const channels = colours.rows.length;
  for (let p = 0; p < size.width * size.height; p++) {
    const rgb = colourOf(latent.subarray(p * channels, (p + 1) * channels), colours);
    for (let c = 0; c < 3; c++) picture.data[3 * p + c] = rgb[c]!;
  }
  return picture;
}

function colourOf(cell: Float32Array, { rows, bias }: LatentColours): number[] {
  return bias.map((start, c) => {
    const value = rows.reduce((sum, row, i) => sum + row[c]! * cell[i]!, start);
    return Math.round((Math.min(Math.max(value, -1), 1) + 1) * 127.5);
  });
}
