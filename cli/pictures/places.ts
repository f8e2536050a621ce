/** @file Where the pictures of a run go, one place a picture, all checked before anything is loaded. */
import { existsSync, statSync } from "node:fs";
import { isatty } from "node:tty";
import { FileSystemError, UsageError } from "../../engine/errors.ts";
import { seedOf } from "../../model/picture/picture-noise.ts";
import { type Output, prepareOutput, withNumber } from "../files/output.ts";
import type { ModelChoice } from "../models/model-files.ts";
import type { PreviewOptions } from "../preview/preview-options.ts";
import { defaultName } from "./picture-name.ts";
import type { PictureRequest } from "./session.ts";

/** Places for one picture and, if asked for, its latent. */
export interface Place {
  readonly seed: bigint;
  /** Undefined: stdout. */
  readonly picture: Output | undefined;
  readonly latent: Output | undefined;
}

/** Names that are numbered on from call to call, as nobody knows how many pictures there will be; with the last number of each, at first 0. */
export type RunningNumbers = Map<string, number>;

/** Checks every output before anything is loaded. @throws FileSystemError; UsageError STDOUT_IS_TERMINAL */
export async function preparePlaces(requests: readonly PictureRequest[], running?: RunningNumbers): Promise<Place[]> {
  if (requests.some(({ options }) => options.output === "-")) refuseTerminal();
  const [pictures, latents] = [new Names(requests, "output", running), new Names(requests, "saveLatent", running)];
  const taken = new Set<string>();
  const files = new OwnFiles();
  const places: Place[] = [];
  for (const { options, batch } of requests) {
    const { output, saveLatent, overwrite, prompt, preview } = options;
    const models = modelsOf(options);
    const seed = seedOf({ ...options, batch });
    const name = output === undefined ? distinct(defaultName(prompt, seed), taken) : pictures.next(output, overwrite);
    const picture = output === "-" ? undefined : await prepareOutput(name, { overwrite, numbered: output === undefined, models });
    const latent =
      saveLatent === undefined ? undefined : await prepareOutput(latents.next(saveLatent, overwrite), { overwrite, models });
    files.claim("--output", picture);
    files.claim("--save-latent", latent);
    await files.claimPreview(preview, models);
    places.push({ seed, picture, latent });
  }
  return places;
}

/** Files that a run reads and must not replace. */
export function modelsOf({ model, vae, refiner }: ModelChoice): readonly (string | undefined)[] {
  return [model, vae, refiner];
}

/** What a run writes, each file by one option only: what another wrote there would be lost. */
export class OwnFiles {
  readonly #options = new Map<string, string>();
  /** Previews looked at already, each with its models: all pictures of a run may share one. */
  readonly #previews = new Set<string>();

  /** @throws FileSystemError OUTPUT_EXISTS */
  claim(option: string, output: Output | undefined): void {
    if (!output) return;
    const other = this.#options.get(output.target) ?? option;
    if (other !== option) {
      throw new FileSystemError("OUTPUT_EXISTS", `${option} and ${other} are the same file: ${output.path}`, {
        hint: "give one of them another name",
      });
    }
    this.#options.set(output.target, option);
  }

  /** @throws FileSystemError those of `prepareOutput` */
  async claimPreview({ kind, file }: PreviewOptions, models: readonly (string | undefined)[]): Promise<void> {
    const seen = [file, ...models].join("\0");
    if (kind === "none" || file === undefined || this.#previews.has(seen)) return;
    this.claim("--preview-file", await prepareOutput(file, { overwrite: true, models }));
    this.#previews.add(seen);
  }
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

/** A name that several pictures were given gets numbers: fox-1.png, fox-2.png. Those that run on pass over files that are there. */
class Names {
  readonly #wanted = new Map<string, number>();
  readonly #given = new Map<string, number>();
  readonly #running: RunningNumbers;

  constructor(requests: readonly PictureRequest[], option: "output" | "saveLatent", running: RunningNumbers = new Map()) {
    this.#running = running;
    for (const { options } of requests) {
      const name = options[option];
      if (name !== undefined) this.#wanted.set(name, (this.#wanted.get(name) ?? 0) + 1);
    }
  }

  next(name: string, overwrite: boolean): string {
    const runsOn = this.#running.has(name);
    if ((!runsOn && (this.#wanted.get(name) ?? 0) < 2) || isOther(name)) return name;
    const given = runsOn ? this.#running : this.#given;
    let number = (given.get(name) ?? 0) + 1;
    while (runsOn && !overwrite && existsSync(withNumber(name, number))) number++;
    given.set(name, number);
    return withNumber(name, number);
  }
}

/** A device or pipe takes any number of pictures, a folder none: both are meant as they are. */
function isOther(name: string): boolean {
  try {
    return !statSync(name).isFile();
  } catch {
    return false; // what can't be looked at is told of where it is prepared
  }
}
