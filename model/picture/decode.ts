/** @file latent -> image. */
import type { Tensor } from "../../engine/index.ts";
import type { LoadedModel } from "../loaded-model.ts";
import type { Job } from "./job.ts";

/** latent -> image, RGBA bytes. */
export async function decode(loaded: LoadedModel, job: Job, latent: Tensor): Promise<Uint8Array> {
  job.options.signal?.throwIfAborted();
  const stages = loaded.stagesFor(job);
  const pixels = await stages.decode.run(latent); //                                             [H, W, 4]
  await stages.expectFinite("vae");
  return pixels;
}
