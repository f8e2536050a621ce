/** @file Options of how a picture is sampled: prompt rules, noise levels, seeds. Those that most people leave alone. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { type Compatibility, compatibilities, type NoiseSource, noiseSources } from "../../model/sampling/compatibility.ts";
import { parseSeed } from "../../model/sampling/seed.ts";
import { emphases } from "../../model/text/emphases.ts";
import type { PictureSettings } from "../pictures/picture-settings.ts";
import { decimalNumber, wholeNumber } from "./numbers.ts";
import { choice, number, type Values } from "./shared.ts";

const programs = Object.keys(compatibilities) as Compatibility[];

export function addPromptOptions(command: Command): void {
  command
    .addOption(choice("--emphasis <mode>", "what (word:1.2) does (default: original)", emphases))
    .addOption(
      number(
        "--clip-skip <layers>",
        "which layer of CLIP counts, from the end: 1 is the last; SD 1 only",
        wholeNumber("clip-skip", { min: 1, max: 32, hint: "1 and 2 are usual" }),
      ),
    )
    .addOption(
      number(
        "--comma-backtrack <tokens>",
        "cut a full chunk of 75 after a comma among its last so many tokens (default: 20)",
        wholeNumber("comma-backtrack", { min: 0, max: 75 }),
      ),
    )
    .option("--old-edits", "prompt editing as A1111 did before 1.6: a number below 1 is a share, dot or not");
}

export function addSamplerOptions(command: Command): void {
  const level = (name: string) => decimalNumber(name, { min: 0, max: 1e6 });
  const betaShape = (name: string) => decimalNumber(name, { min: 0.01, max: 50, hint: "0.6 is usual, 1 spaces evenly" });
  command
    .addOption(
      number("--eta <share>", "noise that ddim and the ancestral samplers add, 0 to 1", decimalNumber("eta", { min: 0, max: 1 })),
    )
    .addOption(new Option("--sigmas <list>", "noise levels of your own, falling: 14.6,6.5,2.7,0.9,0").argParser(parseSigmas))
    .addOption(number("--sigma-min <sigma>", "smallest noise level of the schedule", level("sigma-min")))
    .addOption(number("--sigma-max <sigma>", "largest noise level of the schedule", level("sigma-max")))
    .addOption(number("--rho <number>", "curvature of karras and polyexponential", decimalNumber("rho", { min: 0.01, max: 999 })))
    .addOption(
      number(
        "--beta-alpha <number>",
        "shape of the schedule beta: below 1 it is denser at low noise (default: 0.6)",
        betaShape("beta-alpha"),
      ),
    )
    .addOption(number("--beta-beta <number>", "below 1 it is denser at high noise (default: 0.6)", betaShape("beta-beta")))
    .addOption(number("--churn <amount>", "fresh noise for euler, heun and dpm_2 (default: 0)", level("churn")))
    .addOption(number("--tmin, --churn-min <sigma>", "churn at noise levels from here up", level("churn-min")))
    .addOption(number("--tmax, --churn-max <sigma>", "churn at noise levels up to here", level("churn-max")))
    .addOption(number("--noise-scale <factor>", "what fresh noise is multiplied by (default: 1)", level("noise-scale")))
    .option("--discard-penultimate", "leave out the noise level before the last")
    .option("--no-discard-penultimate", "keep it, also where the sampler would leave it out")
    .addOption(
      number(
        "--guidance-rescale <share>",
        "keep the spread of the prompt's own prediction, 0 to 1 (default: 0)",
        decimalNumber("guidance-rescale", { min: 0, max: 1, hint: "0.7 is usual with --zero-snr" }),
      ),
    )
    .option("--zero-snr", "rescale the noise schedule so that it ends in pure noise")
    .option("--no-zero-snr", "don't, also where the checkpoint says so");
}

export function addNoiseOptions(command: Command): void {
  command
    .addOption(
      new Option(
        "--rng <source>",
        "whose random numbers (default: cpu, PyTorch's): cpu, philox (A1111's NV and GPU, sd.cpp's cuda), comfy",
      ).argParser(parseRng),
    )
    .addOption(choice("--compat <program>", "whose rules for seeds, steps and prompts", programs))
    .addOption(
      number(
        "--ensd <number>",
        "A1111's eta noise seed delta (default: 0)",
        wholeNumber("ensd", { min: -(2 ** 31), max: 2 ** 31, hint: "31337 is the one that is met" }),
      ),
    )
    .addOption(new Option("--variation-seed <number>", "mix in the noise of this seed").argParser((text) => parseSeed(text)))
    .addOption(
      number(
        "--variation-strength <share>",
        "how much of it, 0 to 1",
        decimalNumber("variation-strength", { min: 0, max: 1, hint: "0.05 to 0.3 varies a picture" }),
      ),
    )
    .addOption(
      new Option("--seed-resize <size>", "use the noise that the seed has at this size: 512x512").argParser(
        parseSize("seed-resize"),
      ),
    );
}

export function addSizeOptions(command: Command): void {
  command
    .addOption(
      new Option("--original-size <size>", "SDXL: the size it believes the picture had: 1024x1024").argParser(
        parseSize("original-size"),
      ),
    )
    .addOption(new Option("--crop <place>", "SDXL: where it believes the picture was cropped: TOP,LEFT").argParser(parseCrop))
    .addOption(
      new Option("--target-size <size>", "SDXL: the size it believes the picture has now").argParser(parseSize("target-size")),
    );
}

/** @throws UsageError VARIATION_INCOMPLETE */
export function samplingValues(values: Values): Omit<PictureSettings, "negative" | "width" | "height" | "steps" | "guidance"> {
  const picked = <T>(name: string) => values[name] as T | undefined;
  return {
    emphasis: picked("emphasis"),
    clipSkip: picked("clipSkip"),
    commaBacktrack: picked("commaBacktrack"),
    oldEdits: picked("oldEdits"),
    eta: picked("eta"),
    sigmas: picked("sigmas"),
    sigmaMin: picked("sigmaMin"),
    sigmaMax: picked("sigmaMax"),
    rho: picked("rho"),
    betaAlpha: picked("betaAlpha"),
    betaBeta: picked("betaBeta"),
    churn: picked("churn"),
    churnMin: picked("churnMin"),
    churnMax: picked("churnMax"),
    noiseScale: picked("noiseScale"),
    discardPenultimate: picked("discardPenultimate"),
    guidanceRescale: picked("guidanceRescale"),
    zeroTerminalSnr: picked("zeroSnr"),
    rng: picked("rng"),
    compat: picked("compat"),
    seedDelta: picked("ensd"),
    variation: variationOf(picked("variationSeed"), picked("variationStrength")),
    resizeFrom: picked("seedResize"),
    sizes: sizesOf({ original: picked("originalSize"), crop: picked("crop"), target: picked("targetSize") }),
  };
}

function variationOf(seed: bigint | undefined, strength: number | undefined): PictureSettings["variation"] {
  if (seed === undefined && strength === undefined) return undefined;
  if (strength !== undefined) return { seed: seed ?? parseSeed(), strength };
  throw new UsageError("VARIATION_INCOMPLETE", "--variation-seed is given, --variation-strength is not", {
    hint: "add --variation-strength 0.1",
  });
}

function sizesOf(
  sizes: { [K in keyof NonNullable<PictureSettings["sizes"]>]: NonNullable<PictureSettings["sizes"]>[K] | undefined },
) {
  const given = Object.entries(sizes).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : (Object.fromEntries(given) as PictureSettings["sizes"]);
}

/** A source's name, or what A1111 and sd.cpp call it. */
function parseRng(text: string): NoiseSource {
  const name = text.toLowerCase();
  const source = ["nv", "gpu", "cuda"].includes(name) ? "philox" : noiseSources.find((one) => one === name);
  if (source) return source;
  throw new InvalidArgumentError(`use ${noiseSources.join(", ")}`);
}

/** "14.6, 2.7, 0" -> numbers; that they fall is checked where they are used. */
function parseSigmas(text: string): number[] {
  const parse = decimalNumber("sigmas", { min: 0, max: 1e6, hint: "give numbers with commas: 14.6,6.5,2.7,0.9,0" });
  return text.split(",").map((part) => parse(part.trim()));
}

/** "512x768" -> width and height in pixels. */
function parseSize(option: string): (text: string) => { width: number; height: number } {
  return (text) => {
    const [, width, height] = /^(\d{1,5})x(\d{1,5})$/i.exec(text.trim()) ?? [];
    if (width !== undefined && height !== undefined && Number(width) > 0 && Number(height) > 0)
      return { width: Number(width), height: Number(height) };
    throw new UsageError(
      `INVALID_${option.toUpperCase().replaceAll("-", "_")}`,
      `--${option}: ${JSON.stringify(text.slice(0, 40))} is no size`,
      {
        hint: "give width and height in pixels: 512x768",
        context: { option, value: text },
      },
    );
  };
}

function parseCrop(text: string): { top: number; left: number } {
  const [, top, left] = /^(\d{1,5}),(\d{1,5})$/.exec(text.trim()) ?? [];
  if (top !== undefined && left !== undefined) return { top: Number(top), left: Number(left) };
  throw new UsageError("INVALID_CROP", `--crop: ${JSON.stringify(text.slice(0, 40))} is no place`, {
    hint: "give pixels from the top and from the left: 0,0",
    context: { option: "crop", value: text },
  });
}
