/** @file `limn img2img`: reads the picture, and hands over to txt2img. */
import type { InitOptions } from "../../model/index.ts";
import { readImage } from "../image/read-image.ts";
import type { CommandContext, Img2imgOptions } from "../options.ts";
import { Progress } from "../progress.ts";
import { run as makePictures } from "./txt2img.ts";

/** @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(options: Img2imgOptions, context: CommandContext): Promise<void> {
  return makePictures(options, context, await readInit(options));
}

export async function readInit(options: Img2imgOptions): Promise<InitOptions> {
  const { strength, stepRule, resizeMode, imageGuidance, background } = options;
  const progress = new Progress(options);
  const image = await readImage(options.init, { background, note: (text) => progress.note(text) });
  return { image, strength, stepRule, resizeMode, imageGuidance };
}
