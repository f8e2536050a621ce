/** @file What a run starts from besides noise: a picture's latent, a mask, and what models with more input channels want to see. */
import { UsageError } from "../../engine/errors.ts";
import type { ModelConfig } from "../checkpoint/config.ts";
import type { UNetDenoiser } from "../denoiser/denoiser.ts";
import { blank, latentMask, nearestMask, type Size } from "../image/index.ts";
import type { SamplingPlan } from "../sampling/index.ts";
import type { EncodeStage } from "../vae/encode-stage.ts";
import { defaultImageGuidance, type InitOptions } from "./img2img.ts";
import type { MaskedContent, Prepared } from "./inpaint.ts";

/** On the CPU, as it is small and a run may begin again. Latents are [H/8, W/8, 4]. */
export interface Start {
  /** In the U-Net's scale. */
  readonly latent: Float32Array;
  /** Of the latent's layout: 1 where it is made anew, else 0. */
  readonly mask: Float32Array | undefined;
  readonly fill: MaskedContent;
}

/** True where a run has to look at a picture, if only at a grey one. */
export function needsEncoder({ variant }: Pick<ModelConfig, "variant">, init: InitOptions | undefined): boolean {
  return init !== undefined || variant !== "base";
}

/** @throws UsageError INIT_MISSING: a model that edits pictures needs one */
export function expectInit({ variant }: Pick<ModelConfig, "variant">, init: InitOptions | undefined): void {
  if (variant !== "pix2pix" || init !== undefined) return;
  throw new UsageError("INIT_MISSING", "this model edits pictures (instruct-pix2pix) and was given none", {
    hint: 'limn img2img "make it snow" --init photo.png -m MODEL',
  });
}

/** Encodes the picture, and writes the denoiser's further channels. */
export async function startFrom(
  {
    init,
    prepared,
    size,
  }: { readonly init: InitOptions | undefined; readonly prepared: Prepared | undefined; readonly size: Size },
  { vae }: Pick<ModelConfig, "vae">,
  encoder: EncodeStage,
  denoiser: UNetDenoiser,
): Promise<Start | undefined> {
  const latentSize = { width: size.width / vae.factor, height: size.height / vae.factor };
  const mean = prepared && (await encoder.run(prepared.image));
  if (denoiser.variant === "pix2pix") {
    denoiser.imageGuidance = init?.imageGuidance ?? defaultImageGuidance;
    denoiser.setExtra([new Float32Array(mean!.length), mean!, mean!]); // without the scale factor, as it was trained
  } else if (denoiser.variant === "inpaint") {
    const mask = prepared?.mask;
    const image = prepared?.image ?? blank(size, 3);
    // Without a mask everything is made anew, and nothing of the picture may be seen.
    const seen = await encoder.run(image, (pixel) => mask !== undefined && mask.data[pixel]! <= 127);
    const marks = mask && nearestMask(mask, latentSize);
    denoiser.setExtra([withMask(seen, vae.scaleFactor, (pixel) => marks?.[pixel] ?? 1)]);
  }
  if (!prepared || !mean) return undefined;
  const mask = prepared.mask && latentMask(prepared.mask, latentSize);
  return {
    latent: mean.map((value) => value * vae.scaleFactor),
    mask: mask && Float32Array.from(mean, (_, i) => mask[Math.floor(i / 4)]!),
    fill: init?.inpaint?.fill ?? "original",
  };
}

/** [P, 4] -> [P, 8]: mask, four channels times `factor`, three of zeros. */
function withMask(latent: Float32Array, factor: number, mask: (pixel: number) => number): Float32Array {
  const result = new Float32Array(2 * latent.length);
  for (let p = 0; p < latent.length / 4; p++) {
    result[8 * p] = mask(p);
    for (let c = 0; c < 4; c++) result[8 * p + 1 + c] = latent[4 * p + c]! * factor;
  }
  return result;
}

/** The latent with the masked part as `fill` says; `noise` is the run's first. The same wherever there is no mask. */
export function filledLatent({ latent, mask, fill }: Start, noise: Float32Array): Float32Array {
  if (!mask || (fill !== "noise" && fill !== "nothing")) return latent;
  return latent.map((value, i) => (mask[i] === 0 ? value : fill === "noise" ? noise[i]! : 0));
}

/** The first x of a run: noise of the plan's first level, over the latent if the plan keeps any of it. */
export function firstLatent(
  { initialNoiseScale, initialLatentScale }: Pick<SamplingPlan, "initialNoiseScale" | "initialLatentScale">,
  noise: Float32Array,
  latent: Float32Array | undefined,
): Float32Array {
  if (!latent || initialLatentScale === 0) return noise.map((value) => value * initialNoiseScale);
  return noise.map((value, i) => value * initialNoiseScale + latent[i]! * initialLatentScale);
}
