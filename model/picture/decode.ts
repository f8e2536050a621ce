/** @file latent -> image. */
import type { Tensor } from "../../engine/index.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { tilesWarning } from "../vae/tiles.ts";
import type { Job } from "./job.ts";

export interface Decoded {
  /** RGBA bytes [H, W, 4]. */
  readonly pixels: Uint8Array;
  /** Side of the VAE's tiles; undefined: the whole at once. */
  readonly vaeTile: number | undefined;
}

/** latent -> image. */
export async function decode(loaded: LoadedModel, job: Job, latent: Tensor): Promise<Decoded> {
  job.options.signal?.throwIfAborted();
  const stages = loaded.stagesFor(job);
  const pixels = await stages.decode.run(latent); //                                             [H, W, 4]
  await stages.expectFinite("vae");
  const { tile } = stages.decode;
  if (tile !== undefined && tile !== (job.size.vaeTile ?? loaded.tileUnlessGiven)) {
    const warning = tilesWarning(tile);
    if (!job.warnings.includes(warning)) job.warnings.push(warning); // two passes tell it once
  }
  return { pixels, vaeTile: tile };
}
