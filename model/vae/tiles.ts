/**
 * @file Tiles that overlap, for maps that are too large to be made at once. The rule is that of ComfyUI's "VAE Decode (Tiled)"
 * (`tiled_scale_multidim` in comfy/utils.py): tiles begin at equal distances, the last is what is left, and where they overlap
 * each counts the less the nearer its border. Group norms see a tile each, so colours may differ a little between tiles.
 */
import { LimnError, UsageError } from "../../engine/errors.ts";
import type { Size } from "../image/index.ts";

/** In pixels of the picture. */
export interface VaeTiling {
  /** Side of a tile. */
  readonly tile: number;
  /** Of neighbouring tiles. */
  readonly overlap: number;
}

/** ComfyUI's: tiles of 512 pixels that overlap by 64. */
export const usualTile = 512;

/** The same proportion for tiles of any size. */
export function tilingOf(tile: number): VaeTiling {
  return { tile, overlap: tile / 8 };
}

/** Where the whole is too much: the usual tiles, and smaller ones where these are too large as well. */
export function fallbackTilings({ width, height }: Size): VaeTiling[] {
  return [usualTile, usualTile / 2, usualTile / 4].filter((tile) => tile < Math.max(width, height)).map(tilingOf);
}

/** What to tell where nobody asked for tiles. */
export function tilesWarning(tile: number): string {
  return `the whole picture is too much for the VAE on this adapter: it works in tiles of ${tile} pixels, whose colours may differ a little`;
}

/** What not even bands of rows could make fit. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof LimnError && ["BINDING_TOO_LARGE", "GPU_BUFFER_TOO_LARGE"].includes(error.code);
}

/** @throws UsageError INVALID_VAE_TILE */
export function checkTile(tile: number): void {
  if (Number.isInteger(tile) && tile % 64 === 0 && tile >= 128 && tile <= 4096) return;
  throw new UsageError("INVALID_VAE_TILE", `VAE tile: ${tile} is no multiple of 64 from 128 to 4096`, {
    hint: `${usualTile} pixels are usual`,
    context: { tile },
  });
}

export interface Tile extends Size {
  readonly left: number;
  readonly top: number;
}

/** The tiles of a map, row by row; all in the map's own unit. One tile where it is no larger than that. */
export function tilesOf({ width, height }: Size, { tile, overlap }: VaeTiling): Tile[] {
  return spans(height, tile, overlap).flatMap(({ begin: top, size: height }) =>
    spans(width, tile, overlap).map(({ begin: left, size: width }) => ({ left, top, width, height })),
  );
}

function spans(size: number, tile: number, overlap: number): { begin: number; size: number }[] {
  if (size <= tile) return [{ begin: 0, size }];
  const count = Math.ceil((size - overlap) / (tile - overlap));
  return Array.from({ length: count }, (_, i) => {
    const begin = i * (tile - overlap);
    return { begin, size: Math.min(tile, size - begin) };
  });
}

/** A map put together from tiles [height, width, channels]. */
export class TileBlend {
  readonly #size: Size;
  readonly #channels: number;
  readonly #overlap: number;
  readonly #sums: Float32Array;
  readonly #weights: Float32Array;

  /** `overlap` in the map's unit. */
  constructor(size: Size, channels: number, overlap: number) {
    this.#size = size;
    this.#channels = channels;
    this.#overlap = overlap;
    this.#sums = new Float32Array(size.width * size.height * channels);
    this.#weights = new Float32Array(size.width * size.height);
  }

  /** Adds a tile; `values` may hold more than this map's channels, of which the first count. */
  add(values: Float32Array, { left, top, width, height }: Tile): void {
    const channels = this.#channels;
    const given = values.length / (width * height);
    const [across, down] = [ramp(width, this.#overlap), ramp(height, this.#overlap)];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const weight = across[x]! * down[y]!;
        const to = (top + y) * this.#size.width + left + x;
        const from = (y * width + x) * given;
        this.#weights[to]! += weight;
        for (let c = 0; c < channels; c++) this.#sums[to * channels + c]! += weight * values[from + c]!;
      }
    }
  }

  /** [height, width, channels]; every place must have been in a tile. */
  result(): Float32Array {
    return this.#sums.map((sum, i) => sum / this.#weights[Math.floor(i / this.#channels)]!);
  }
}

/** How much each place along a tile counts: up to 1 over the overlap at both ends, also at the map's own border. */
function ramp(size: number, overlap: number): number[] {
  if (overlap >= size) return Array<number>(size).fill(1);
  const rise = (t: number) => Math.min(1, (t + 1) / overlap);
  return Array.from({ length: size }, (_, i) => rise(i) * rise(size - 1 - i));
}
