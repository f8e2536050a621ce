/** @file Where the pictures of a run go, one place a picture, all checked before anything is loaded. */
import { isatty } from "node:tty";
import { FileSystemError, UsageError } from "../engine/errors.ts";
import { seedOf } from "../model/picture-noise.ts";
import type { Txt2imgOptions } from "./options.ts";
import { type Output, prepareOutput, withNumber } from "./output.ts";
import { defaultName } from "./picture-name.ts";

/** Places for one picture and, if asked for, its latent. */
export interface Place {
  readonly seed: bigint;
  /** Undefined: stdout. */
  readonly picture: Output | undefined;
  readonly latent: Output | undefined;
}

/** Checks every output before anything is loaded. @throws FileSystemError; UsageError STDOUT_IS_TERMINAL */
export async function preparePlaces(options: Txt2imgOptions): Promise<Place[]> {
  const { output, overwrite, batch, saveLatent, prompt } = options;
  if (output === "-" && isatty(1)) {
    throw new UsageError("STDOUT_IS_TERMINAL", "--output -: stdout is a terminal, which can't show a PNG", {
      hint: "send it on (limn ... -o - > fox.png), or give a file name",
    });
  }
  const places: Place[] = [];
  for (let index = 0; index < batch; index++) {
    const seed = seedOf({ ...options, batch: { index, size: batch } });
    const numbered = (path: string): string => (batch === 1 ? path : withNumber(path, index + 1));
    const name = output === undefined ? distinct(defaultName(prompt, seed), index, places) : numbered(output);
    const picture = output === "-" ? undefined : await prepareOutput(name, { overwrite, numbered: output === undefined });
    const latent = saveLatent === undefined ? undefined : await prepareOutput(numbered(saveLatent), { overwrite });
    if (latent && picture && latent.path === picture.path) {
      throw new FileSystemError("OUTPUT_EXISTS", `--save-latent and --output are the same file: ${latent.path}`, {
        hint: "give one of them another name",
      });
    }
    places.push({ seed, picture, latent });
  }
  return places;
}

/** Pictures of one run may share a seed (one generator draws them all, or it is varied), but not a name. */
function distinct(name: string, index: number, earlier: readonly Place[]): string {
  return earlier.some(({ picture }) => picture?.path === name) ? withNumber(name, index + 1) : name;
}
