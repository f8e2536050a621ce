/** @file Where the pictures of a run go, one place a picture, all checked before anything is loaded. */
import { isatty } from "node:tty";
import { FileSystemError, UsageError } from "../../engine/errors.ts";
import { seedOf } from "../../model/picture/picture-noise.ts";
import { type Output, prepareOutput, withNumber } from "../files/output.ts";
import { defaultName } from "./picture-name.ts";
import type { PictureRequest } from "./session.ts";

/** Places for one picture and, if asked for, its latent. */
export interface Place {
  readonly seed: bigint;
  /** Undefined: stdout. */
  readonly picture: Output | undefined;
  readonly latent: Output | undefined;
}

/** Checks every output before anything is loaded. @throws FileSystemError; UsageError STDOUT_IS_TERMINAL */
export async function preparePlaces(requests: readonly PictureRequest[]): Promise<Place[]> {
  if (requests.some(({ options }) => options.output === "-")) refuseTerminal();
  const [pictures, latents] = [new Names(requests, "output"), new Names(requests, "saveLatent")];
  const taken = new Set<string>();
  const places: Place[] = [];
  for (const { options, batch } of requests) {
    const { output, saveLatent, overwrite, prompt } = options;
    const seed = seedOf({ ...options, batch });
    const name = output === undefined ? distinct(defaultName(prompt, seed), taken) : pictures.next(output);
    const picture = output === "-" ? undefined : await prepareOutput(name, { overwrite, numbered: output === undefined });
    const latent = saveLatent === undefined ? undefined : await prepareOutput(latents.next(saveLatent), { overwrite });
    if (latent && picture && latent.path === picture.path) {
      throw new FileSystemError("OUTPUT_EXISTS", `--save-latent and --output are the same file: ${latent.path}`, {
        hint: "give one of them another name",
      });
    }
    places.push({ seed, picture, latent });
  }
  return places;
}

/** @throws UsageError STDOUT_IS_TERMINAL */
export function refuseTerminal(): void {
  if (!isatty(1)) return;
  throw new UsageError("STDOUT_IS_TERMINAL", "--output -: stdout is a terminal, which can't show a PNG", {
    hint: "send it on (limn ... -o - > fox.png), or give a file name",
  });
}

/** Pictures of one run may share a seed (one generator draws them all, or it is varied), but not a name. */
function distinct(name: string, taken: Set<string>): string {
  let free = name;
  for (let number = 2; taken.has(free); number++) free = withNumber(name, number);
  taken.add(free);
  return free;
}

/** A name that several pictures were given gets numbers: fox-1.png, fox-2.png. */
class Names {
  readonly #wanted = new Map<string, number>();
  readonly #given = new Map<string, number>();

  constructor(requests: readonly PictureRequest[], option: "output" | "saveLatent") {
    for (const { options } of requests) {
      const name = options[option];
      if (name !== undefined) this.#wanted.set(name, (this.#wanted.get(name) ?? 0) + 1);
    }
  }

  next(name: string): string {
    if ((this.#wanted.get(name) ?? 0) < 2) return name;
    const number = (this.#given.get(name) ?? 0) + 1;
    this.#given.set(name, number);
    return withNumber(name, number);
  }
}
