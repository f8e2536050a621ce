/** @file The pictures of a run, one by one: batches of --batch, one after the other by --count. */
import { drawsBatches } from "../../model/picture/picture-noise.ts";
import { batchSeed } from "../../model/sampling/index.ts";
import type { Txt2imgOptions } from "../syntax/options.ts";
import type { PictureRequest } from "./session.ts";

/** Seeds go on from batch to batch; of a varied picture the variation's do. */
export function picturesOf<Options extends Txt2imgOptions>(
  options: Options,
): (PictureRequest & { readonly options: Options; readonly batch: NonNullable<PictureRequest["batch"]> })[] {
  return Array.from({ length: options.count }, (_, round) => {
    const ofRound = { ...options, ...seedsOf(options, round) };
    return Array.from({ length: options.batch }, (_, index) => ({ options: ofRound, batch: { index, size: options.batch } }));
  }).flat();
}

function seedsOf({ seed, variation, compat, rng, batch }: Txt2imgOptions, round: number): Partial<Txt2imgOptions> {
  // Where one generator draws for a batch, the next seed is another batch.
  const on = (first: bigint) => batchSeed(first, round * (drawsBatches(compat, rng) ? 1 : batch));
  if (variation && variation.strength > 0) return { variation: { ...variation, seed: on(variation.seed) } };
  return { seed: on(seed) };
}
