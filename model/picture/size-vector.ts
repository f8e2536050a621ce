/**
 * @file SDXL's vector: what label_emb takes beside the timestep. pooled ++ E(height) ++ E(width) ++ E(crop top) ++ E(crop left)
 * ++ E(target height) ++ E(target width), E the sinusoidal embedding (Podell et al. 2023, section 2.2). The refiner has E(aesthetic
 * score) in the place of the target's two.
 */
import type { ModelConfig } from "../checkpoint/config.ts";
import { timestepEmbedding } from "../unet/timestep-embedding.ts";

export interface PictureSizes {
  readonly original: { readonly width: number; readonly height: number };
  readonly crop: { readonly top: number; readonly left: number };
  readonly target: { readonly width: number; readonly height: number };
}

/** What the refiner is told of a picture's quality, 0..10: of the wanted one's, and of the negative prompt's. */
export const aestheticScores = { prompt: 6, negative: 2.5 } as const;

/** pooled [P][C] -> [P * admChannels]. Each number takes an equal share of what the pooled vector leaves; `scores` are the refiner's. */
export function sizeVector(
  pooled: readonly Float32Array[],
  sizes: PictureSizes,
  admChannels: number,
  scores?: readonly number[],
): Float32Array {
  const { original, crop, target } = sizes;
  const place = [original.height, original.width, crop.top, crop.left];
  const vector = new Float32Array(pooled.length * admChannels);
  for (const [p, row] of pooled.entries()) {
    const score = scores?.[p];
    const numbers = [...place, ...(score === undefined ? [target.height, target.width] : [score])];
    const width = (admChannels - row.length) / numbers.length;
    vector.set(row, p * admChannels);
    vector.set(timestepEmbedding(numbers, width), p * admChannels + row.length);
  }
  return vector;
}

/**
 * The vectors of a picture, one for each pooled vector, the negative prompt's first if there are several; sizes that are not given are the
 * picture's, with nothing cropped.
 */
export function vectorsOf(
  told: readonly { readonly pooled: Float32Array | undefined }[],
  sizes: Partial<PictureSizes> | undefined,
  { width, height }: { readonly width: number; readonly height: number },
  { family, unet }: Pick<ModelConfig, "family" | "unet">,
): Float32Array {
  const own = { width, height };
  const { original = own, crop = { top: 0, left: 0 }, target = own } = sizes ?? {};
  return sizeVector(
    told.map(({ pooled }) => pooled ?? new Float32Array()),
    { original, crop, target },
    unet.admChannels!,
    family === "sdxl-refiner"
      ? told.map((_, p) => (p === 0 && told.length > 1 ? aestheticScores.negative : aestheticScores.prompt))
      : undefined,
  );
}
