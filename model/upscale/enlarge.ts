/** @file A picture brought to a size by an upscaler, as the A1111 web UI does it (modules/upscaler.py). */
import { blank, type Raster, resize, rgbOf, type Size } from "../image/index.ts";

/** Makes a picture larger by its own factor; called again where that was not enough. */
export interface PixelUpscaler {
  /** As the metadata names it. */
  readonly name: string;
  /** RGB -> RGB; `size` is what is wanted in the end. */
  upscale(picture: Raster, size: Size): Promise<Raster>;
}

/** Upscalers that need no model, by name; the web UI's labels in the metadata. */
export const pixelUpscalers = { none: "None", nearest: "Nearest", bicubic: "Bicubic", lanczos: "Lanczos" } as const;

/** By name or label. */
export function findPixelUpscaler(name: string): keyof typeof pixelUpscalers | undefined {
  const plain = name.trim().toLowerCase();
  return Object.hasOwn(pixelUpscalers, plain) ? (plain as keyof typeof pixelUpscalers) : undefined;
}

/** Resamples a picture on the CPU, to any size at once; "none" leaves it, and `enlarge` brings it to its size. */
export function plainUpscaler(kind: keyof typeof pixelUpscalers): PixelUpscaler {
  const upscale = (picture: Raster, size: Size): Raster => {
    if (kind === "none") return picture; // and so `enlarge` resamples it in the end
    return kind === "nearest" ? nearest(picture, size) : resize(picture, size, kind);
  };
  return { name: pixelUpscalers[kind], upscale: async (picture, size) => upscale(picture, size) };
}

/** A network that makes a picture four times as large may do so three times, no more. */
const mostRuns = 3;

/** RGB of any size -> RGB of this size: the upscaler until it is reached, then Lanczos to fit. */
export async function enlarge(picture: Raster, size: Size, upscaler: PixelUpscaler): Promise<Raster> {
  let made = rgbOf(picture);
  for (let run = 0; run < mostRuns && (made.width < size.width || made.height < size.height); run++) {
    const { width } = made;
    made = await upscaler.upscale(made, size);
    if (made.width === width) break; // an upscaler of scale 1
  }
  return resize(made, size, "lanczos");
}

/** The pixel under the middle of each new one, as PIL's NEAREST. */
function nearest(picture: Raster, size: Size): Raster {
  const result = blank(size, picture.channels);
  const across = middles(picture.width, size.width);
  const down = middles(picture.height, size.height);
  for (const [y, row] of down.entries()) {
    for (const [x, column] of across.entries()) {
      const from = (row * picture.width + column) * picture.channels;
      result.data.set(picture.data.subarray(from, from + picture.channels), (y * size.width + x) * picture.channels);
    }
  }
  return result;
}

function middles(from: number, to: number): number[] {
  return Array.from({ length: to }, (_, i) => Math.min(Math.floor(((i + 0.5) * from) / to), from - 1));
}
