/** @file The syntax of `limn grid`: all that makes one picture, from a picture or not, and the axes. */
import type { Command } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { addInitOptions, addMaskOptions, initValues, maskValues } from "./from-picture.ts";
import { wholeNumber } from "./numbers.ts";
import type { CommandLine, PictureOptions } from "./options.ts";
import { describe, number, type Syntax, type Values } from "./shared.ts";
import { pictureSyntax } from "./txt2img.ts";

export function gridSyntax(): Syntax {
  const { command, picture } = anyPictureSyntax();
  command
    .name("limn grid")
    .usage('"PROMPT" --x NAME=VALUES [--y NAME=VALUES] [--z NAME=VALUES] [options]')
    .description(
      "Make one picture of many, with labels: columns for --x, rows for --y, blocks for --z. NAME is any option, or size, lora-strength, or prompt " +
        "(its first value is replaced by each, as A1111's Prompt S/R). VALUES are 10,20,30 or ranges: 1-5, 10-30(+5), 1-10[5].",
    );
  describe(command, "--output", "where to write the sheet, - for stdout (default: PROMPT-grid.png)");
  command.optionsGroup("Grid:");
  command
    .option("--x <axis>", "columns: steps=10,20,30")
    .option("--y <axis>", "rows: sampler=euler,dpmpp_2m")
    .option("--z <axis>", "blocks one under the other")
    .option("--cells <folder>", "keep each picture here; those that are there already are not made again")
    .addOption(
      number(
        "--cell-size <pixels>",
        "shrink the pictures in the grid, so that the longer side is at most this",
        wholeNumber("cell-size", { min: 16, max: 4096 }),
      ),
    );
  return {
    command,
    finish(words) {
      const values: Values = command.opts();
      const line = { command: "grid", words };
      const one = picture(line);
      const axes = {
        x: values["x"] as string | undefined,
        y: values["y"] as string | undefined,
        z: values["z"] as string | undefined,
      };
      if (Object.values(axes).every((axis) => axis === undefined)) {
        throw new UsageError("MISSING_ARGUMENT", "grid: there is no axis", { hint: 'limn grid "a red fox" --x steps=10,20,30' });
      }
      refuseMany("grid", one);
      return {
        command: "grid",
        options: {
          ...{ json: one.json, quiet: one.quiet, verbose: one.verbose, debug: one.debug },
          output: one.output,
          picture: one,
          axes,
          cells: values["cells"] as string | undefined,
          cellSize: values["cellSize"] as number | undefined,
          seeded:
            values["seed"] !== undefined &&
            !words.some((word, at) => word === "--seed=-1" || (word === "-1" && words[at - 1] === "--seed")),
          line,
        },
      };
    },
  };
}

/** The options of txt2img, img2img and inpaint together: which it is, --init and --mask say. */
export function anyPictureSyntax(choice?: { readonly promptWanted: boolean }): {
  readonly command: Command;
  picture(line: CommandLine): PictureOptions;
} {
  const { command, options } = pictureSyntax(choice);
  addInitOptions(command);
  addMaskOptions(command);
  return {
    command,
    picture(line) {
      const values: Values = command.opts();
      const plain = options(line);
      if (values["mask"] !== undefined) return { ...plain, ...initValues("inpaint", values), ...maskValues("inpaint", values) };
      return values["init"] === undefined ? plain : { ...plain, ...initValues("img2img", values) };
    },
  };
}

/** @throws UsageError OPTIONS_CONFLICT */
export function refuseMany(command: string, { batch, count, prompts, saveLatent }: PictureOptions): void {
  const given = [
    batch > 1 && "--batch",
    count > 1 && "--count",
    prompts !== undefined && "--prompts",
    saveLatent !== undefined && "--save-latent",
  ].find((option) => option !== false);
  if (given === undefined) return;
  throw new UsageError("OPTIONS_CONFLICT", `${command}: ${given} has no meaning here`, {
    hint: command === "grid" ? "take an axis: --x seed=1-4" : "leave it out",
  });
}
