/**
 * @file Unit noise for latents. Each image of a batch has its own generator, so that image i of a batch is the image
 * that its seed gives alone (diffusers with a list of generators; A1111).
 */

import type { Generator } from "./rng/generator.ts";
import { TorchCpuGenerator } from "./rng/torch-cpu.ts";
import { batchSeed } from "./seed.ts";

export interface LatentShape {
  readonly height: number;
  readonly width: number;
  /** 4 if left out. */
  readonly channels?: number;
}

export class LatentNoise {
  readonly #generators: readonly Generator[];
  readonly #height: number;
  readonly #width: number;
  readonly #channels: number;

  constructor(generators: readonly Generator[], { height, width, channels = 4 }: LatentShape) {
    this.#generators = generators;
    this.#height = height;
    this.#width = width;
    this.#channels = channels;
  }

  /** Noise of PyTorch's CPU generator: image i is seeded seed + i. */
  static torchCpu(seed: bigint, batch: number, shape: LatentShape): LatentNoise {
    return new LatentNoise(
      Array.from({ length: batch }, (_, i) => new TorchCpuGenerator(batchSeed(seed, i))),
      shape,
    );
  }

  get shape(): [number, number, number, number] {
    return [this.#generators.length, this.#height, this.#width, this.#channels];
  }

  /** The next draw of every image, [N,H,W,C]. The generators count in the originals' order [C,H,W]. */
  next(): Float32Array {
    const pixels = this.#height * this.#width;
    const noise = new Float32Array(this.#generators.length * pixels * this.#channels);
    for (const [n, generator] of this.#generators.entries()) {
      const planes = generator.randn(this.#channels * pixels);
      for (let c = 0; c < this.#channels; c++) {
        for (let p = 0; p < pixels; p++) noise[(n * pixels + p) * this.#channels + c] = planes[c * pixels + p]!;
      }
    }
    return noise;
  }
}
