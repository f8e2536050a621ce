/** @file Which of the command line's options are the library's own, handed to `generate` as they are. */
import type { GenerateOptions } from "../../model/index.ts";

const names = [
  "negative",
  "width",
  "height",
  "steps",
  "guidance",
  "guidanceRescale",
  "sampler",
  "schedule",
  "eta",
  "sigmas",
  "sigmaMin",
  "sigmaMax",
  "rho",
  "betaAlpha",
  "betaBeta",
  "churn",
  "churnMin",
  "churnMax",
  "noiseScale",
  "discardPenultimate",
  "zeroTerminalSnr",
  "compat",
  "rng",
  "seedDelta",
  "variation",
  "resizeFrom",
  "clipSkip",
  "emphasis",
  "commaBacktrack",
  "oldEdits",
  "sizes",
  "tiling",
  "vaeTile",
] as const satisfies readonly (keyof GenerateOptions)[];

export type PictureSettings = Pick<GenerateOptions, (typeof names)[number]>;

/** The settings among options. */
export function pictureSettings(options: PictureSettings): PictureSettings {
  return Object.fromEntries(names.map((name) => [name, options[name]]));
}
