/** @file A denoiser that keeps the known part of a latent: what it says is clean there is the picture. */
import type { Tensor } from "../../engine/index.ts";
import { blend, combine } from "../../kernels/index.ts";
import type { BothDenoised, Denoiser, NoiseLevel } from "../sampling/index.ts";

/**
 * D' = m D + (1 - m) latent, in whichever form a sampler asks for D. The A1111 web UI blends the same way in k-space
 * (modules/sd_samplers_cfg_denoiser.py).
 */
export class InpaintDenoiser implements Denoiser {
  readonly #inner: Denoiser;
  /** f32 [1, H/8, W/8, 4]. */
  readonly #latent: Tensor;
  readonly #mask: Tensor;
  /** Of the last call. */
  readonly #results: Tensor[] = [];

  /** Both tensors are its own from now on. mask: 1 where the picture is made anew. */
  constructor(inner: Denoiser, { latent, mask }: { readonly latent: Tensor; readonly mask: Tensor }) {
    this.#inner = inner;
    this.#latent = latent;
    this.#mask = mask;
  }

  async denoise(x: Tensor, sigma: number): Promise<Tensor> {
    return this.#keep([blend(await this.#inner.denoise(x, sigma), this.#latent, this.#mask)])[0]!;
  }

  async denoiseBoth(x: Tensor, sigma: number): Promise<BothDenoised> {
    const { guided, negative } = await this.#inner.denoiseBoth(x, sigma);
    const results = [guided, negative].map((denoised) => blend(denoised, this.#latent, this.#mask));
    this.#keep(results);
    return { guided: results[0]!, negative: results[1]! };
  }

  async x0(x: Tensor, level: NoiseLevel): Promise<Tensor> {
    return this.#keep([blend(await this.#inner.x0(x, level), this.#latent, this.#mask)])[0]!;
  }

  /** The noise that is left of x when its known part is the picture: (x - sqrt(alphaBar) latent) / sqrt(1 - alphaBar). */
  async eps(x: Tensor, level: NoiseLevel): Promise<Tensor> {
    const eps = await this.#inner.eps(x, level);
    const { alphaBar } = level;
    const result = x.device.scope(() => {
      const known = combine([
        [1 / Math.sqrt(1 - alphaBar), x],
        [-Math.sqrt(alphaBar / (1 - alphaBar)), this.#latent],
      ]);
      return blend(eps, known, this.#mask);
    });
    return this.#keep([result])[0]!;
  }

  /** The last latent with the known part in its place; gives `made` back. */
  finish(made: Tensor): Tensor {
    const finished = blend(made, this.#latent, this.#mask);
    made.free();
    return finished;
  }

  free(): void {
    this.#keep([]);
    this.#latent.free();
    this.#mask.free();
  }

  /** Gives back the results of the call before. */
  #keep(results: readonly Tensor[]): readonly Tensor[] {
    for (const tensor of this.#results.splice(0)) tensor.free();
    this.#results.push(...results);
    return results;
  }
}
