/** @file The syntax of `limn upscale`. */
import { Command } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { tileDefaults, tileLimits } from "../../model/upscale/tiles.ts";
import { parseColor } from "../image/color.ts";
import { decimalNumber, wholeNumber } from "./numbers.ts";
import type { UpscaleOptions } from "./options.ts";
import { addCommonOptions, addGpuOptions, background, choice, common, gpu, number, type Syntax, type Values } from "./shared.ts";

const resamplers = ["lanczos", "bicubic", "nearest"] as const;

export function upscaleSyntax(): Syntax {
  const command = new Command("limn upscale")
    .usage("PICTURE [options]")
    .description("Make a picture larger: with an ESRGAN or Real-ESRGAN network, or by resampling.")
    .argument("<picture>", "a PNG, or with the package sharp a JPEG, WebP, GIF, AVIF")
    .option("-m, --model <file>", "the network (.safetensors, .pth); without it the picture is resampled")
    .addOption(choice("--upscaler <kind>", "how to resample without a network (default: lanczos)", resamplers))
    .addOption(
      number(
        "--scale <factor>",
        "how many times as large, 1 to 16 (default: the network's own, or 2)",
        decimalNumber("scale", { min: 1, max: 16, hint: "2 to 4 is usual" }),
      ),
    )
    .addOption(
      number(
        "--tile <pixels>",
        `side of the pieces that the network sees (default: ${tileDefaults.tile})`,
        wholeNumber("tile", { min: tileLimits.least, max: tileLimits.most, hint: "less takes less memory" }),
      ),
    )
    .addOption(
      number(
        "--tile-overlap <pixels>",
        `over which a piece fades into the next (default: ${tileDefaults.overlap})`,
        wholeNumber("tile-overlap", { min: 0, max: tileLimits.most / 2 }),
      ),
    )
    .addOption(background())
    .option("-o, --output <file>", "where to write the PNG, - for stdout (default: PICTURE-WIDTHxHEIGHT.png)")
    .option("--overwrite", "replace the output file if it exists");
  addGpuOptions(command);
  addCommonOptions(command);
  return { command, finish: () => ({ command: "upscale", options: upscaleOptions(command.args[0]!, command.opts()) }) };
}

function upscaleOptions(picture: string, values: Values): UpscaleOptions {
  const picked = <T>(name: string) => values[name] as T | undefined;
  const [model, upscaler, output] = [
    picked<string>("model"),
    picked<UpscaleOptions["upscaler"]>("upscaler"),
    picked<string>("output"),
  ];
  if (model !== undefined && upscaler !== undefined) {
    throw new UsageError("OPTIONS_CONFLICT", "--model and --upscaler both say how to enlarge", { hint: "use one of them" });
  }
  if (output === "-" && values["json"]) {
    throw new UsageError("OPTIONS_CONFLICT", "--output - and --json both want stdout", { hint: "use one of them" });
  }
  return {
    ...common(values),
    ...gpu(values),
    picture,
    model,
    upscaler: upscaler ?? "lanczos",
    scale: picked("scale"),
    tile: picked("tile") ?? tileDefaults.tile,
    tileOverlap: picked("tileOverlap") ?? tileDefaults.overlap,
    background: parseColor(values["bg"] as string),
    output,
    overwrite: values["overwrite"] === true,
  };
}
