/**
 * @file A large picture in tiles, and the tiles' results put together: the A1111 web UI's grid (modules/images.py), tiles of one size spread
 * evenly, each new one faded in over the last.
 */
import type { Raster, Size } from "../image/index.ts";

export interface TileOptions {
  /** Side of a tile in pixels of the picture. */
  readonly tile: number;
  /** Pixels over which a tile fades in; neighbours share at least so many. */
  readonly overlap: number;
}

export const tileDefaults = { tile: 192, overlap: 8 } as const;
export const tileLimits = { least: 32, most: 1024 } as const;

/** Where tiles begin along a side of `length` pixels, and how long they are: as long as the side where that is shorter. */
export function tileStarts(
  length: number,
  { tile, overlap }: TileOptions,
): { readonly starts: readonly number[]; readonly size: number } {
  if (length <= tile) return { starts: [0], size: length };
  const count = Math.ceil((length - overlap) / (tile - overlap));
  const step = (length - tile) / (count - 1);
  return { starts: Array.from({ length: count }, (_, i) => Math.min(Math.trunc(i * step), length - tile)), size: tile };
}

/** RGB in 0..255, unrounded. */
export interface FloatRaster extends Size {
  readonly data: Float32Array;
}

export function blankFloats({ width, height }: Size): FloatRaster {
  return { width, height, data: new Float32Array(3 * width * height) };
}

/** Writes a tile over a row of tiles that it is as high as; beyond the first it fades in over `overlap` pixels. */
export function placeInRow(row: FloatRaster, tile: FloatRaster, left: number, overlap: number): void {
  for (let y = 0; y < tile.height; y++) {
    for (let x = 0; x < tile.width; x++) {
      const share = left === 0 || x >= overlap ? 1 : x / overlap;
      const [from, to] = [3 * (y * tile.width + x), 3 * (y * row.width + left + x)];
      for (let c = 0; c < 3; c++) row.data[to + c] = share * tile.data[from + c]! + (1 - share) * row.data[to + c]!;
    }
  }
}

/** Writes a row of tiles over the picture that it is as wide as; below the first it fades in over `overlap` pixels. Rounds. */
export function placeRow(picture: Raster, row: FloatRaster, top: number, overlap: number): void {
  const rowLength = 3 * row.width;
  for (let y = 0; y < row.height; y++) {
    const share = top === 0 || y >= overlap ? 1 : y / overlap;
    const [from, to] = [y * rowLength, (top + y) * rowLength];
    for (let i = 0; i < rowLength; i++) {
      const value = share * row.data[from + i]! + (1 - share) * picture.data[to + i]!;
      picture.data[to + i] = Math.min(Math.max(Math.round(value), 0), 255);
    }
  }
}
