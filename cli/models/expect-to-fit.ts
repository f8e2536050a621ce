/** @file Refuses a picture that can't fit before anything is loaded for it. */
import { totalmem } from "node:os";
import { OutOfMemoryError } from "../../engine/errors.ts";
import { hiresTarget } from "../../model/hires/index.ts";
import { planModel } from "../../model/plan/plan.ts";
import type { OpenDevice } from "../gpu/device.ts";
import type { Txt2imgOptions } from "../syntax/options.ts";
import type { ModelFiles } from "./model-files.ts";

/** Pictures of fewer pixels are not planned first: what runs out of memory at that size says so soon enough. */
const plannedPixels = 512 * 512;

/** @throws OutOfMemoryError PICTURE_TOO_LARGE */
export async function expectToFit(options: Txt2imgOptions, files: ModelFiles, { device, software }: OpenDevice): Promise<void> {
  const { guidance, vaeTile } = options;
  const { width, height } = largestSize(options);
  if (width * height <= plannedPixels) return;
  const { maxHeader, lowMemory } = files.choice;
  // A software adapter's memory is the machine's; WebGPU does not tell that of a card.
  const memory = software ? totalmem() : undefined;
  const { problem } = await planModel(files.model, device, {
    tier: device.tier,
    precision: device.storage,
    vae: files.vae,
    refiner: files.refiner,
    maxHeader,
    lowMemory,
    memory,
    size: { width, height, guidance, vaeTile },
  });
  if (!problem) return;
  throw new OutOfMemoryError("PICTURE_TOO_LARGE", `${width}x${height} does not fit here: ${problem.message}`, {
    hint: problem.hint ?? "make a smaller picture; `limn plan` tells what a size takes",
    context: { width, height },
  });
}

/** Of Stable Diffusion's VAEs; before the model is opened its own is not known, and a few pixels make no difference here. */
const usualCell = 8;

/** That of the hires pass, if there is one. */
function largestSize({ width = 0, height = 0, hires }: Txt2imgOptions): { readonly width: number; readonly height: number } {
  const first = { width, height };
  return hires && width > 0 && height > 0 ? hiresTarget(first, { ...hires, ...hires.size }, usualCell).size : first;
}
