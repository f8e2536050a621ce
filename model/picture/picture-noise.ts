/** @file The noise of one picture, as its seed, its place in a batch and the rules of a program have it. */
import { UsageError } from "../../engine/errors.ts";
import { mostSide } from "../image/index.ts";
import type { Compatibility } from "../sampling/index.ts";
import { batchSeed, LatentNoise, type NoiseSource, rulesOf, type SamplingPlan } from "../sampling/index.ts";

/** A place in a batch: some programs draw the noise of all its pictures from one generator. */
export interface BatchPlace {
  /** 0 .. size - 1 */
  readonly index: number;
  readonly size: number;
}

export interface PictureNoiseOptions {
  /** Of the batch's first picture. */
  readonly seed: bigint;
  readonly batch?: BatchPlace | undefined;
  readonly compat?: Compatibility | undefined;
  /** Default: as `compat` has it, else PyTorch's CPU generator. */
  readonly rng?: NoiseSource | undefined;
  /** A1111's "eta noise seed delta" (ENSD). */
  readonly seedDelta?: number | undefined;
  /** Mixes the noise with another seed's. */
  readonly variation?: { readonly seed: bigint; readonly strength: number } | undefined;
  /** Pixels: noise of that size, in the middle. */
  readonly resizeFrom?: { readonly width: number; readonly height: number } | undefined;
}

/** The seed that a picture of a batch is known by: what makes it again. */
export function seedOf({ seed, batch, variation, compat, rng }: PictureNoiseOptions): bigint {
  if (drawsBatches(compat, rng) || (variation !== undefined && variation.strength > 0)) return seed;
  return batchSeed(seed, batch?.index ?? 0);
}

/** Whether one generator draws the noise of a whole batch. */
export function drawsBatches(compat: Compatibility | undefined, rng: NoiseSource | undefined): boolean {
  return compat === undefined ? rng === "comfy" : rulesOf(compat).generators === "batch";
}

/** Unit noise [1, H/8, W/8, 4] of one picture, draw by draw. */
export class PictureNoise {
  readonly #noise: LatentNoise;
  /** Which of the images that are drawn. */
  readonly #index: number;
  readonly #images: number;

  /** @throws UsageError INVALID_VARIATION_STRENGTH, INVALID_SEED_RESIZE */
  constructor(options: PictureNoiseOptions, plan: Pick<SamplingPlan, "brownian">, latent: { height: number; width: number }) {
    const { compat, rng, seed, batch = { index: 0, size: 1 }, seedDelta, variation, resizeFrom } = options;
    const rules = rulesOf(compat);
    const together = drawsBatches(compat, rng);
    this.#index = together ? batch.index : 0;
    this.#images = together ? batch.size : 1;
    this.#noise = new LatentNoise(
      {
        seed: together ? seed : seedOf(options),
        batch: this.#images,
        source: rng ?? rules.source,
        generators: together ? "batch" : "image",
        seedDelta,
        variation: variation && { ...variation, seed: together ? variation.seed : batchSeed(variation.seed, batch.index) },
        resizeFrom: resizeFrom && latentSize(resizeFrom),
        brownian: plan.brownian,
      },
      latent,
    );
  }

  /** The next draw; the first is where the run starts. */
  next(): Float32Array {
    return this.#own(this.#noise.next());
  }

  /** For the step between two sigmas. */
  between(from: number, to: number): Float32Array {
    return this.#own(this.#noise.between(from, to));
  }

  #own(noise: Float32Array): Float32Array {
    const size = noise.length / this.#images;
    return this.#images === 1 ? noise : noise.slice(this.#index * size, (this.#index + 1) * size);
  }
}

function latentSize({ width, height }: { readonly width: number; readonly height: number }): { width: number; height: number } {
  if ([width, height].every((side) => Number.isInteger(side) && side >= 8 && side <= mostSide && side % 8 === 0))
    return { width: width / 8, height: height / 8 };
  throw new UsageError("INVALID_SEED_RESIZE", `seed resize: ${width}x${height} is no size in multiples of 8 up to ${mostSide}`, {
    hint: "give the size that the seed is known from, such as 512x512",
    context: { width, height },
  });
}
