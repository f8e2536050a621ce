/** @file The syntax of `limn img2img` and `limn inpaint`: all of txt2img's options, and the picture to start from. */
import type { Command } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { resizeModes } from "../../model/image/fit.ts";
import { inpaintDefaults, maskedContents } from "../../model/picture/inpaint.ts";
import { stepRules } from "../../model/sampling/strength.ts";
import { type Color, parseColor } from "../image/color.ts";
import { decimalNumber, wholeNumber } from "./numbers.ts";
import type { Img2imgOptions, InpaintOptions, Txt2imgOptions } from "./options.ts";
import { background, choice, describe, number, type Syntax, type Values } from "./shared.ts";
import { pictureSyntax } from "./txt2img.ts";

export function img2imgSyntax(): Syntax {
  const { command, options } = pictureSyntax();
  command
    .name("limn img2img")
    .usage('"PROMPT" --init FILE [options]')
    .description(
      "Make a picture from a picture and a prompt. Without -W and -H it has the size of the first one, in multiples of 8; of a large one the proportions.",
    );
  addInitOptions(command);
  describeSize(command);
  return {
    command,
    finish: (words) => ({
      command: "img2img",
      options: { ...options({ command: "img2img", words }), ...initValues("img2img", command.opts()) },
    }),
  };
}

export function inpaintSyntax(): Syntax {
  const { command, options } = pictureSyntax();
  command
    .name("limn inpaint")
    .usage('"PROMPT" --init FILE --mask FILE [options]')
    .description("Paint a part of a picture anew: where the mask is white. The rest stays as it is.");
  addInitOptions(command);
  addMaskOptions(command);
  describeSize(command);
  return {
    command,
    finish(words) {
      const values: Values = command.opts();
      return {
        command: "inpaint",
        options: {
          ...options({ command: "inpaint", words }),
          ...initValues("inpaint", values),
          ...maskValues("inpaint", values),
        },
      };
    },
  };
}

function describeSize(command: Command): void {
  for (const side of ["width", "height"])
    describe(command, `--${side}`, `${side}, a multiple of 8 (default: the picture's; of a large one in proportion)`);
}

export function addMaskOptions(command: Command): void {
  command
    .option("--mask <file>", "which part: white is painted, black stays")
    .option("--mask-invert", "paint where the mask is black")
    .addOption(
      number(
        "--mask-blur <pixels>",
        `soft edge of the mask (default: ${inpaintDefaults.blur})`,
        decimalNumber("mask-blur", { min: 0, max: 256 }),
      ),
    )
    .addOption(
      choice("--fill <content>", "what the masked part starts from", maskedContents).default(
        inpaintDefaults.fill,
        inpaintDefaults.fill,
      ),
    )
    .option("--only-masked", "make the part around the mask at the full size, and put it back")
    .addOption(
      number(
        "--padding <pixels>",
        `how much around the mask --only-masked shows (default: ${inpaintDefaults.padding})`,
        wholeNumber("padding", { min: 0, max: 4096 }),
      ),
    );
}

export function maskValues(name: string, values: Values): Omit<InpaintOptions, keyof Img2imgOptions> {
  return {
    mask: needed(name, "mask", values),
    maskInvert: values["maskInvert"] === true,
    maskBlur: (values["maskBlur"] as number | undefined) ?? inpaintDefaults.blur,
    fill: values["fill"] as (typeof maskedContents)[number],
    onlyMasked: values["onlyMasked"] === true,
    padding: (values["padding"] as number | undefined) ?? inpaintDefaults.padding,
  };
}

/** A group of options of its own, which `addMaskOptions` goes on with. */
export function addInitOptions(command: Command): void {
  command
    .optionsGroup("From a picture:")
    .option("--init <file>", "the picture to start from: PNG, or with the package sharp JPEG, WebP, GIF, AVIF")
    .addOption(
      number(
        "--strength <share>",
        "how much to change, 0 to 1 (default: 0.75; 1 for models that edit pictures)",
        decimalNumber("strength", { min: 0, max: 1, hint: "0 keeps the picture, 1 replaces it" }),
      ),
    )
    .addOption(
      choice("--img2img-steps <rule>", "run a share of the steps, or all of them", stepRules).default("scaled", "scaled"),
    )
    .addOption(choice("--resize-mode <mode>", "how it comes to the size wanted", resizeModes).default("stretch", "stretch"))
    .addOption(
      number(
        "--image-guidance <scale>",
        "how strictly to follow the picture, with instruct-pix2pix models (default: 1.5)",
        decimalNumber("image-guidance", { min: 0, max: 100, hint: "1 to 2 is usual" }),
      ),
    )
    .addOption(background());
}

export function initValues(name: string, values: Values): Omit<Img2imgOptions, keyof Txt2imgOptions> {
  return {
    init: needed(name, "init", values),
    strength: values["strength"] as number | undefined,
    stepRule: values["img2imgSteps"] as (typeof stepRules)[number],
    resizeMode: values["resizeMode"] as (typeof resizeModes)[number],
    imageGuidance: values["imageGuidance"] as number | undefined,
    background: parseColor(values["bg"] as string) satisfies Color,
  };
}

function needed(command: string, option: string, values: Values): string {
  const value = values[option] as string | undefined;
  if (value) return value;
  throw new UsageError("MISSING_ARGUMENT", `${command}: there is no --${option}`, {
    hint:
      command === "inpaint" ? 'limn inpaint "a hat" --init photo.png --mask mask.png' : 'limn img2img "a fox" --init photo.png',
  });
}
