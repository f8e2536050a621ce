/** @file The hires pass: a finished latent enlarged, with noise again, and denoised at the larger size. Source: the A1111 web UI, modules/processing.py (sample_hr_pass). */
import type { Tensor } from "../../engine/index.ts";
import { cutLatent, interpolate } from "../hires/index.ts";
import type { Raster, Size } from "../image/index.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { enlarge } from "../upscale/index.ts";
import { condition } from "./condition.ts";
import { decode } from "./decode.ts";
import { denoise } from "./denoise.ts";
import type { GenerateStep } from "./generation.ts";
import type { HiresJob, Job } from "./job.ts";

/** latent -> larger latent -> the same with noise -> latent: the hires pass. It takes the first latent. */
export async function* secondPass(
  loaded: LoadedModel,
  first: Job,
  hires: HiresJob,
  latent: Tensor,
): AsyncGenerator<GenerateStep, Tensor> {
  const { job } = hires;
  try {
    const larger = await loaded.mending(first, () => enlarged(loaded, first, hires, latent)); //     [1, H'/8, W'/8, 4]
    job.start = { latent: larger, mask: undefined, fill: "original" };
  } finally {
    latent.free();
  }
  await loaded.mending(job, () => loaded.mergeLoras(job));
  await loaded.mending(job, () => loaded.changeContexts(job));
  await loaded.mending(job, () => condition(loaded, job));
  return yield* denoise(loaded, job);
}

/** Enlarged as a latent, or decoded, enlarged as a picture and encoded; then cut to the second pass's size. */
async function enlarged(
  loaded: LoadedModel,
  first: Job,
  { job, target, upscaler }: HiresJob,
  latent: Tensor,
): Promise<Float32Array> {
  const { width, height } = first.settings;
  const { factor } = loaded.config.vae;
  if (upscaler.kind === "latent") {
    const cells = (size: Size) => ({ width: size.width / factor, height: size.height / factor });
    const larger = interpolate(await latent.read(), cells({ width, height }), cells(target.enlarged), upscaler.upscaler.how);
    return cutLatent(larger, target, factor);
  }
  const { pixels: data } = await decode(loaded, first, latent);
  const picture = await enlarge({ width, height, channels: 4, data }, target.enlarged, upscaler.upscaler);
  loaded.noteTaken();
  const larger = await encodePicture(loaded, job, picture);
  loaded.device.trim(); // the encoder's input is of no use to the second pass
  return cutLatent(larger, target, factor);
}

/** RGB -> latent in the U-Net's scale [1, H/8, W/8, 4]. */
async function encodePicture(loaded: LoadedModel, job: Job, picture: Raster): Promise<Float32Array> {
  const encoder = await loaded.loadedEncoder(job);
  const stages = loaded.stagesFor(job);
  const stage = stages.newEncode(encoder, picture);
  try {
    const mean = await stage.run(picture);
    await stages.expectFinite("vae");
    loaded.noteTaken();
    return mean.map((value) => value * loaded.config.vae.scaleFactor);
  } finally {
    stage.free();
  }
}
