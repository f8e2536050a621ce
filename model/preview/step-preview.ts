/** @file What a step looks like: the picture that the denoiser expects, long before it is finished. */
import type { Tensor } from "../../engine/index.ts";
import type { VaeConfig } from "../checkpoint/config.ts";
import { type Raster, rgbOf, type Size } from "../image/index.ts";
import type { Stages } from "../stages.ts";
import { latentPreview } from "./latent-preview.ts";

/** Valid until the run goes on. Looking waits for the GPU, and changes nothing. */
export class StepPreview {
  readonly #stages: Stages;
  readonly #vae: VaeConfig;
  /** f32 [1, H/8, W/8, 4], without noise. */
  readonly #denoised: Tensor;

  constructor(stages: Stages, vae: VaeConfig, denoised: Tensor) {
    this.#stages = stages;
    this.#vae = vae;
    this.#denoised = denoised;
  }

  /** Of the picture that is being made. */
  get size(): Size {
    return this.#stages.size;
  }

  /** A pixel for each cell of the latent, at the cost of reading it. */
  async colours(): Promise<Raster> {
    const [, height = 1, width = 1] = this.#denoised.shape;
    return latentPreview(await this.#denoised.read(), { width, height }, this.#vae.scaleFactor);
  }

  /** The whole picture, by the VAE. */
  async decoded(): Promise<Raster> {
    const { decode, size } = this.#stages;
    const data = await decode.run(this.#denoised);
    return rgbOf({ width: size.width, height: size.height, channels: 4, data });
  }
}
