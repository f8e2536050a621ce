/** @file The cells of a grid: what each asks for, in which order they are made, and which of them a folder holds already. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type UsedFiles, usedFiles } from "../metadata/record.ts";
import { embeddedModel } from "../models/embedded-model.ts";
import { readPngTexts } from "../png/png.ts";
import type { GridOptions, PictureOptions } from "../syntax/options.ts";
import { vary } from "../syntax/vary.ts";
import { jsonValue } from "../terminal/error-text.ts";
import { packageVersion } from "../version.ts";
import type { Axis, CellWords } from "./axis.ts";

/** Keyword of the text that a cell is known by. */
export const cellKeyword = "limn-cell";

/** x, y and z; one that is not used has a single value that changes nothing. */
export type Axes = readonly [x: Axis, y: Axis, z: Axis];

export interface Cell {
  /** Where it stands: x runs first, then y, then z. */
  readonly place: number;
  readonly labels: readonly string[];
  readonly options: PictureOptions;
}

/**
 * Every cell's options, checked. The order is that of making: the dearest axis changes least often.
 * @throws UsageError those of `parseArguments`, and PROMPT_NOT_FOUND
 */
export function cellsOf({ line, picture }: GridOptions, axes: Axes, seed: bigint): Cell[] {
  const [x, y] = axes;
  const outermostFirst = [2, 1, 0].sort((a, b) => axes[b]!.cost - axes[a]!.cost);
  // What was drawn at random is the same in every cell.
  const drawn = [`--seed=${seed}`, ...(picture.variation ? [`--variation-seed=${picture.variation.seed}`] : [])];
  const start: CellWords = {
    words: [...line.words.slice(0, dashes(line.words)), ...drawn],
    prompt: picture.prompt,
    negative: picture.negative,
  };
  const cells: Cell[] = [];
  const visit = (at: readonly (number | undefined)[], depth: number): void => {
    const axis = outermostFirst[depth];
    if (axis !== undefined) {
      for (const index of axes[axis]!.values.keys()) visit(at.with(axis, index), depth + 1);
      return;
    }
    const values = axes.map(({ values }, index) => values[at[index]!]!);
    const made = values.reduce((cell, value) => value.apply(cell), start);
    const options = optionsOf(line.command, made);
    const place = (at[2]! * y.values.length + at[1]!) * x.values.length + at[0]!;
    cells.push({ place, labels: values.map(({ label }) => label).filter((label) => label !== ""), options });
  };
  visit([undefined, undefined, undefined], 0);
  return cells;
}

function optionsOf(command: string, { words, prompt, negative }: CellWords): PictureOptions {
  const invocation = vary({ command, words }, [`--prompt=${prompt}`, `--negative=${negative}`]);
  return (invocation.options as GridOptions).picture;
}

/** The prompt itself may stand behind "--": it is among the options now. */
function dashes(words: readonly string[]): number {
  const at = words.indexOf("--");
  return at < 0 ? words.length : at;
}

/** What a cell's picture is made of, as a hash: the options, and the files' own. */
export class CellKeys {
  readonly #files = new Map<string, Promise<UsedFiles>>();

  async of(options: PictureOptions): Promise<string> {
    const {
      json,
      quiet,
      verbose,
      debug,
      adapter,
      requireGpu,
      limitBinding,
      output,
      overwrite,
      saveLatent,
      prompts,
      count,
      preview,
      ...rest
    } = options;
    const { model, vae, noise, ...picture } = rest;
    const [init, mask] = ["init" in options ? options.init : undefined, "mask" in options ? options.mask : undefined];
    const paths = { model: model ?? embeddedModel, vae, noise, init, mask };
    const id = JSON.stringify(paths);
    const files = this.#files.get(id) ?? usedFiles(options, { model: paths.model, vae });
    this.#files.set(id, files);
    const used = await files;
    const hashes = (["model", "vae", "noise", "init", "mask"] as const).map((name) => used[name]?.hash ?? paths[name] ?? "");
    const what = JSON.stringify([packageVersion, hashes, Object.entries({ ...picture, init: "", mask: "" }).sort()], jsonValue);
    return createHash("sha256").update(what).digest("hex");
  }
}

/** The cells in a folder: where the picture of a key is. Files that are none are passed over. */
export async function keptCells(folder: string): Promise<Map<string, string>> {
  const kept = new Map<string, string>();
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => /\.png$/i.test(one)).sort()) {
    const path = join(folder, name);
    try {
      const key = readPngTexts(await readFile(path)).get(cellKeyword);
      if (key !== undefined && !kept.has(key)) kept.set(key, path);
    } catch {
      // Not a picture of ours.
    }
  }
  return kept;
}
