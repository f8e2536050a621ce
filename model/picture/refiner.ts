/**
 * @file A second model that takes the latent over on the way and makes the rest of the steps (Podell et al. 2023, section 2.5): SDXL's
 * refiner, or any model of the same latent space.
 */

import { UsageError } from "../../engine/errors.ts";
import type { Tensor } from "../../engine/index.ts";
import type { ModelConfig } from "../checkpoint/config.ts";
import type { UNetDenoiser } from "../denoiser/denoiser.ts";
import type { StableDiffusion } from "../pipeline.ts";
import type { BothDenoised, Compatibility, Denoiser, NoiseLevel, NoiseSchedule } from "../sampling/index.ts";

export interface RefinerOptions {
  /** Loaded on the same device; it stays the caller's. */
  readonly model: StableDiffusion;
  /** 0..1: which share of the noise levels is the first model's. Default 0.8. */
  readonly at?: number | undefined;
}

export const defaultRefinerAt = 0.8;

/** @throws UsageError INVALID_REFINER_AT, REFINER_MISMATCH */
export function checkRefiner({ model, at = defaultRefinerAt }: RefinerOptions, base: ModelConfig): void {
  if (!(at >= 0 && at <= 1)) {
    throw new UsageError("INVALID_REFINER_AT", `refiner: ${at} is not within 0 and 1`, {
      hint: "0.8 leaves it the last fifth of the noise levels",
      context: { at },
    });
  }
  expectSameLatents(model.config, base);
}

/** @throws UsageError REFINER_MISMATCH */
export function expectSameLatents(config: ModelConfig, base: ModelConfig): void {
  const sameLatents = config.vae.scaleFactor === base.vae.scaleFactor && config.vae.zChannels === base.vae.zChannels;
  if (sameLatents && config.variant === "base") return;
  const what = sameLatents
    ? `it is made for ${config.variant}`
    : `its latents are those of ${config.family}, the model's of ${base.family}`;
  throw new UsageError("REFINER_MISMATCH", `refiner: it can't go on with this model's latent, ${what}`, {
    hint:
      base.family === "sdxl" ? "give sd_xl_refiner_1.0.safetensors, or another SDXL model" : `give another ${base.family} model`,
    context: { model: base.family, refiner: config.family },
  });
}

/**
 * Whether a timestep of 0..999 is the refiner's. The A1111 web UI 1.10 (modules/sd_samplers_common.py, apply_refiner): once (999 - t) / 1000
 * has come to `at`; diffusers (denoising_end): below round(1000 (1 - at)).
 */
export function isRefined(timestep: number, at: number, compat: Compatibility | undefined): boolean {
  return compat === "diffusers" ? timestep < Math.round(1000 * (1 - at)) : (999 - timestep) / 1000 >= at;
}

/** When the second model comes in, and how. */
export interface HandOver {
  readonly isRefined: (timestep: number) => boolean;
  /** Readies the second model for the run's model call `call`. */
  readonly takeOver: (call: number) => Promise<UNetDenoiser>;
}

/** Asks the first model until the first call that is the second one's, and from then on the second one. */
export class RefinedDenoiser implements Denoiser {
  readonly #schedule: NoiseSchedule;
  readonly #handOver: HandOver;
  #current: UNetDenoiser;
  #refining = false;

  constructor(base: UNetDenoiser, schedule: NoiseSchedule, handOver: HandOver) {
    this.#current = base;
    this.#schedule = schedule;
    this.#handOver = handOver;
  }

  /** The one that answers now. */
  get current(): UNetDenoiser {
    return this.#current;
  }

  /** The second model has come in. */
  get refining(): boolean {
    return this.#refining;
  }

  async denoise(x: Tensor, sigma: number): Promise<Tensor> {
    return (await this.#answering(nearestTimestep(this.#schedule, sigma))).denoise(x, sigma);
  }

  async denoiseBoth(x: Tensor, sigma: number): Promise<BothDenoised> {
    return (await this.#answering(nearestTimestep(this.#schedule, sigma))).denoiseBoth(x, sigma);
  }

  async eps(x: Tensor, level: NoiseLevel): Promise<Tensor> {
    return (await this.#answering(level.timestep)).eps(x, level);
  }

  async x0(x: Tensor, level: NoiseLevel): Promise<Tensor> {
    return (await this.#answering(level.timestep)).x0(x, level);
  }

  async #answering(timestep: number): Promise<UNetDenoiser> {
    if (!this.#refining && this.#handOver.isRefined(timestep)) {
      this.#current = await this.#handOver.takeOver(this.#current.calls);
      this.#refining = true;
    }
    return this.#current;
  }
}

/** Of the training schedule's sigmas the nearest one's, as the web UI has it. */
function nearestTimestep({ sigmas }: NoiseSchedule, sigma: number): number {
  let nearest = 0;
  for (let t = 1; t < sigmas.length; t++) if (Math.abs(sigmas[t]! - sigma) < Math.abs(sigmas[nearest]! - sigma)) nearest = t;
  return nearest;
}
