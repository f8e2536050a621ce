/**
 * @file SDXL's vector: what label_emb takes beside the timestep. pooled ++ E(height) ++ E(width) ++ E(crop top) ++ E(crop left)
 * ++ E(target height) ++ E(target width), E the sinusoidal embedding (Podell et al. 2023, section 2.2).
 */
import { timestepEmbedding } from "./unet/timestep-embedding.ts";

export interface PictureSizes {
  readonly original: { readonly width: number; readonly height: number };
  readonly crop: { readonly top: number; readonly left: number };
  readonly target: { readonly width: number; readonly height: number };
}

/** pooled [P][C] -> [P * admChannels]. Each of the six numbers takes an equal share of what the pooled vector leaves. */
export function sizeVector(pooled: readonly Float32Array[], sizes: PictureSizes, admChannels: number): Float32Array {
  const { original, crop, target } = sizes;
  const numbers = [original.height, original.width, crop.top, crop.left, target.height, target.width];
  const vector = new Float32Array(pooled.length * admChannels);
  for (const [p, row] of pooled.entries()) {
    const width = (admChannels - row.length) / numbers.length;
    vector.set(row, p * admChannels);
    vector.set(timestepEmbedding(numbers, width), p * admChannels + row.length);
  }
  return vector;
}

/** The vectors of a picture, one for each pooled vector; sizes that are not given are the picture's, with nothing cropped. */
export function vectorsOf(
  told: readonly { readonly pooled: Float32Array | undefined }[],
  sizes: Partial<PictureSizes> | undefined,
  { width, height }: { readonly width: number; readonly height: number },
  admChannels: number,
): Float32Array {
  const own = { width, height };
  const { original = own, crop = { top: 0, left: 0 }, target = own } = sizes ?? {};
  return sizeVector(
    told.map(({ pooled }) => pooled ?? new Float32Array()),
    { original, crop, target },
    admChannels,
  );
}
