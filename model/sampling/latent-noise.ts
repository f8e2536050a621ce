/**
 * @file Unit noise for latents, as the originals draw it. Usually each image of a batch has its own generator, so that image i of a
 * batch is the image that its seed gives alone (A1111; diffusers with a list of generators); or one generator draws whole batches
 * (ComfyUI; diffusers with one).
 */

import { UsageError } from "../../engine/errors.ts";
import type { CompatibilityRules, NoiseSource } from "./compatibility.ts";
import { BrownianTree } from "./rng/brownian-tree.ts";
import type { Generator } from "./rng/generator.ts";
import { PhiloxGenerator } from "./rng/philox.ts";
import { TorchCpuGenerator } from "./rng/torch-cpu.ts";
import { batchSeed } from "./seed.ts";
import { type NoisePlanes, pasteCentred, slerp } from "./variation.ts";

export interface LatentShape {
  readonly height: number;
  readonly width: number;
  /** 4 if left out. */
  readonly channels?: number;
}

export interface NoiseOptions {
  /** Of the first image; image i has seed + i, but the same seed where there is a variation (A1111). */
  readonly seed: bigint;
  /** Images. Default 1. */
  readonly batch?: number;
  /** Default: torch's CPU numbers, a generator for each image. */
  readonly source?: NoiseSource | undefined;
  readonly generators?: CompatibilityRules["generators"] | undefined;
  /** A1111's "eta noise seed delta": added to the seeds of all draws but the first. */
  readonly seedDelta?: number | undefined;
  /** Mixes the first draw with another seed's, 0..1; image i has that seed + i. */
  readonly variation?: { readonly seed: bigint; readonly strength: number } | undefined;
  /** The first draw is that of this size, in the middle of the latent. */
  readonly resizeFrom?: { readonly height: number; readonly width: number } | undefined;
  /** Range of the sigmas of a sampler with Brownian noise. */
  readonly brownian?: { readonly sigmaMin: number; readonly sigmaMax: number } | undefined;
}

export class LatentNoise {
  readonly #options: NoiseOptions;
  readonly #batch: number;
  readonly #height: number;
  readonly #width: number;
  readonly #channels: number;
  /** One for each image, or one for all. */
  #generators: readonly Generator[];
  #trees: readonly BrownianTree[] | undefined;
  #drawn = false;

  /** @throws UsageError INVALID_VARIATION_STRENGTH */
  constructor(options: NoiseOptions, { height, width, channels = 4 }: LatentShape) {
    const { batch = 1, source = "cpu", variation } = options;
    if (variation !== undefined && !(variation.strength >= 0 && variation.strength <= 1)) {
      throw new UsageError("INVALID_VARIATION_STRENGTH", `variation strength: ${variation.strength} is not within 0 and 1`, {
        hint: "0 is the seed's own noise, 1 the variation seed's",
        context: { strength: variation.strength },
      });
    }
    this.#options = options;
    this.#batch = batch;
    this.#height = height;
    this.#width = width;
    this.#channels = channels;
    this.#generators = this.#seeds().map((seed) => makeGenerator(source === "comfy" ? "cpu" : source, seed));
  }

  /** Noise of PyTorch's CPU generator: image i is seeded seed + i. */
  static torchCpu(seed: bigint, batch: number, shape: LatentShape): LatentNoise {
    return new LatentNoise({ seed, batch }, shape);
  }

  get shape(): [number, number, number, number] {
    return [this.#batch, this.#height, this.#width, this.#channels];
  }

  /** The next draw of every image, [N,H,W,C]; the first one is where the run starts. */
  next(): Float32Array {
    if (this.#drawn) return this.#channelsLast(this.#draw(this.#generators, this.#height, this.#width));
    this.#drawn = true;
    const { seedDelta = 0, source } = this.#options;
    const first = this.#first();
    const generators = source === "comfy" ? "philox" : (source ?? "cpu");
    if (seedDelta !== 0 || source === "comfy")
      this.#generators = this.#seeds().map((seed) => makeGenerator(generators, batchSeed(seed, seedDelta)));
    return this.#channelsLast(first);
  }

  /** A sampler's noise for the step between two sigmas, [N,H,W,C]: Brownian where the options say so, else the next draw. */
  between(from: number, to: number): Float32Array {
    const { brownian, source = "cpu" } = this.#options;
    if (brownian === undefined) return this.next();
    this.#trees ??= this.#seeds().map(
      (seed) =>
        new BrownianTree({
          seed,
          count: (this.#perImage ? 1 : this.#batch) * this.#channels * this.#height * this.#width,
          begin: brownian.sigmaMin,
          end: brownian.sigmaMax,
          makeGenerator: (nodeSeed) => makeGenerator(source === "comfy" ? "cpu" : source, nodeSeed),
        }),
    );
    return this.#channelsLast(this.#trees.map((tree) => tree.between(from, to)));
  }

  get #perImage(): boolean {
    return (this.#options.generators ?? (this.#options.source === "comfy" ? "batch" : "image")) === "image";
  }

  /** One seed for each generator. */
  #seeds(): bigint[] {
    const { seed, variation } = this.#options;
    const step = variation !== undefined && variation.strength > 0 ? 0 : 1;
    return Array.from({ length: this.#perImage ? this.#batch : 1 }, (_, i) => batchSeed(seed, i * step));
  }

  /** Where the run starts: the seed's noise, varied and placed as the options say. */
  #first(): Float32Array[] {
    const { variation, resizeFrom, source = "cpu" } = this.#options;
    const kind = source === "comfy" ? "cpu" : source;
    const { height, width } = resizeFrom ?? { height: this.#height, width: this.#width };
    const resized = height !== this.#height || width !== this.#width;
    // Noise of another size comes from fresh generators; the image's own then draw what surrounds it.
    const sources = resized ? this.#seeds().map((seed) => makeGenerator(kind, seed)) : this.#generators;
    let images = this.#planes(this.#draw(sources, height, width), height, width);
    if (variation !== undefined && variation.strength > 0) {
      const generators = sources.map((_, i) => makeGenerator(kind, batchSeed(variation.seed, i)));
      const others = this.#planes(this.#draw(generators, height, width), height, width);
      images = images.map((image, i) => slerp(variation.strength, image, others[i]!));
    }
    if (resized) {
      const grounds = this.#planes(this.#draw(this.#generators, this.#height, this.#width), this.#height, this.#width);
      images = images.map((image, i) => pasteCentred(grounds[i]!, image));
    }
    return images.map(({ values }) => values);
  }

  /** One draw of each generator, in the originals' order [C,H,W], or [N,C,H,W] of the batch's one. */
  #draw(generators: readonly Generator[], height: number, width: number): Float32Array[] {
    const count = (this.#perImage ? 1 : this.#batch) * this.#channels * height * width;
    return generators.map((generator) => generator.randn(count));
  }

  #planes(draws: readonly Float32Array[], height: number, width: number): NoisePlanes[] {
    const size = this.#channels * height * width;
    return draws
      .flatMap((draw) => Array.from({ length: draw.length / size }, (_, n) => draw.subarray(n * size, (n + 1) * size)))
      .map((values) => ({ channels: this.#channels, height, width, values }));
  }

  /** -> [N,H,W,C] */
  #channelsLast(draws: readonly Float32Array[]): Float32Array {
    const pixels = this.#height * this.#width;
    const noise = new Float32Array(this.#batch * pixels * this.#channels);
    for (const [n, { values }] of this.#planes(draws, this.#height, this.#width).entries()) {
      for (let c = 0; c < this.#channels; c++) {
        for (let p = 0; p < pixels; p++) noise[(n * pixels + p) * this.#channels + c] = values[c * pixels + p]!;
      }
    }
    return noise;
  }
}

function makeGenerator(source: "cpu" | "philox", seed: bigint): Generator {
  return source === "cpu" ? new TorchCpuGenerator(seed) : new PhiloxGenerator(seed);
}
