/** @file The picture that a run starts from, and its mask, read from their files. */
import { UsageError } from "../../engine/errors.ts";
import type { InitOptions } from "../../model/index.ts";
import { readImage } from "../image/read-image.ts";
import type { Img2imgOptions, InpaintOptions, Txt2imgOptions } from "../syntax/options.ts";
import { Progress } from "../terminal/progress.ts";

/** Undefined where the options name no picture. @throws UsageError MASK_SIZE with --strict, and the errors of reading pictures */
export async function readInit(options: Txt2imgOptions | Img2imgOptions | InpaintOptions): Promise<InitOptions | undefined> {
  if (!("init" in options)) return undefined;
  const { strength, stepRule, resizeMode, imageGuidance, background } = options;
  const progress = new Progress(options);
  const image = await readImage(options.init, { background, note: (text) => progress.note(text) });
  const init = { image, strength, stepRule, resizeMode, imageGuidance };
  return "mask" in options ? { ...init, inpaint: await readMask(options, image) } : init;
}

async function readMask(options: InpaintOptions, image: InitOptions["image"]): Promise<NonNullable<InitOptions["inpaint"]>> {
  const progress = new Progress(options);
  // Transparent parts of a mask stay as they are.
  const mask = await readImage(options.mask, { background: [0, 0, 0], note: (text) => progress.note(text) });
  if (options.strict && (mask.width !== image.width || mask.height !== image.height)) {
    throw new UsageError("MASK_SIZE", `--mask is ${mask.width}x${mask.height}, --init is ${image.width}x${image.height}`, {
      hint: "make them the same size, or leave --strict out: the mask is stretched then",
      context: { mask: [mask.width, mask.height], init: [image.width, image.height] },
    });
  }
  const { maskInvert: invert, maskBlur: blur, fill, onlyMasked, padding } = options;
  return { mask, invert, blur, fill, onlyMasked, padding };
}

/** Reads for many pictures of one run; what the last one started from is kept. */
export class InitReader {
  #key = "";
  #last: InitOptions | undefined;

  async read(options: Txt2imgOptions | Img2imgOptions | InpaintOptions): Promise<InitOptions | undefined> {
    if (!("init" in options)) return undefined;
    const { init, strength, stepRule, resizeMode, imageGuidance, background } = options;
    const own =
      "mask" in options
        ? [options.mask, options.maskInvert, options.maskBlur, options.fill, options.onlyMasked, options.padding]
        : [];
    const key = JSON.stringify([init, strength, stepRule, resizeMode, imageGuidance, background, ...own]);
    if (key !== this.#key) this.#last = await readInit(options);
    this.#key = key;
    return this.#last;
  }
}
