/** @file The syntax of `limn plan`. */
import { Command } from "commander";
import { usualTile } from "../../model/vae/tiles.ts";
import { decimalNumber, pictureSide, wholeNumber } from "./numbers.ts";
import { addRefinerOptions, refinerValues } from "./refiner.ts";
import { addCommonOptions, addGpuOptions, common, gpu, maxHeader, number, type Syntax, type Values } from "./shared.ts";

export function planSyntax(): Syntax {
  const command = new Command("limn plan")
    .description(
      "Show what a picture will take on this adapter: weights, activations, bands, and whether it fits. Loads nothing.",
    )
    .option("-m, --model <file>", "checkpoint, as for a picture; without it the small one that comes with limn")
    .option("--vae <file>", "take the VAE from this file or folder")
    .addOption(number("-W, --width <pixels>", "width, a multiple of 8", pictureSide("width")))
    .addOption(number("-H, --height <pixels>", "height, a multiple of 8", pictureSide("height")))
    .addOption(number("-b, --batch <count>", "pictures, made one after the other", wholeNumber("batch", { min: 1, max: 64 })))
    .addOption(
      number(
        "-g, --guidance <scale>",
        "1 runs the U-Net on one sample, anything else on two",
        decimalNumber("guidance", { min: 0, max: 100 }),
      ),
    )
    .addOption(
      number(
        "--memory <gigabytes>",
        "what the GPU has, in units of 10^9 bytes",
        decimalNumber("memory", { min: 0.001, max: 10_000 }),
      ),
    )
    .option("--from-picture", "a picture made from another one (img2img): the encoder counts, too")
    .option("--low-memory", "as it is with --low-memory")
    .option("--vae-tiling", "as it is with --vae-tiling")
    .addOption(number("--vae-tile <pixels>", "as it is with --vae-tile", wholeNumber("vae-tile", { min: 128, max: 4096 })))
    .addOption(maxHeader());
  addRefinerOptions(command);
  addGpuOptions(command);
  addCommonOptions(command);
  return {
    command,
    finish() {
      const values: Values = command.opts();
      const given = (name: string) => values[name] as number | undefined;
      const memory = given("memory");
      return {
        command: "plan",
        options: {
          ...common(values),
          ...gpu(values),
          model: values["model"] as string | undefined,
          vae: values["vae"] as string | undefined,
          ...refinerValues(values),
          width: given("width"),
          height: given("height"),
          guidance: given("guidance"),
          vaeTile: given("vaeTile") ?? (values["vaeTiling"] === true ? usualTile : undefined),
          lowMemory: values["lowMemory"] === true,
          fromPicture: values["fromPicture"] === true,
          batch: given("batch") ?? 1,
          memory: memory === undefined ? undefined : memory * 1e9,
          maxHeader: given("maxHeader"),
        },
      };
    },
  };
}
