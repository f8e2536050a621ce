/** @file `limn inpaint`: reads picture and mask, and hands over to txt2img. */
import { UsageError } from "../../engine/errors.ts";
import type { InitOptions } from "../../model/index.ts";
import { readImage } from "../image/read-image.ts";
import type { CommandContext, InpaintOptions } from "../options.ts";
import { Progress } from "../progress.ts";
import { readInit } from "./img2img.ts";
import { run as makePictures } from "./txt2img.ts";

/** @throws LimnError of every class; UsageError MASK_SIZE with --strict; the signal's reason when it is aborted */
export async function run(options: InpaintOptions, context: CommandContext): Promise<void> {
  return makePictures(options, context, await readInpaint(options));
}

/** The picture to start from, and the mask. @throws UsageError MASK_SIZE with --strict, and the errors of reading pictures */
export async function readInpaint(options: InpaintOptions): Promise<InitOptions> {
  const progress = new Progress(options);
  const init = await readInit(options);
  // Transparent parts of a mask stay as they are.
  const mask = await readImage(options.mask, { background: [0, 0, 0], note: (text) => progress.note(text) });
  const { image } = init;
  if (options.strict && (mask.width !== image.width || mask.height !== image.height)) {
    throw new UsageError("MASK_SIZE", `--mask is ${mask.width}x${mask.height}, --init is ${image.width}x${image.height}`, {
      hint: "make them the same size, or leave --strict out: the mask is stretched then",
      context: { mask: [mask.width, mask.height], init: [image.width, image.height] },
    });
  }
  const { maskInvert: invert, maskBlur: blur, fill, onlyMasked, padding } = options;
  return { ...init, inpaint: { mask, invert, blur, fill, onlyMasked, padding } };
}
