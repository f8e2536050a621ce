/** @file The options of the second pass over an enlarged picture. */
import { type Command, Option } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { defaultHiresDenoise } from "../../model/hires/hires.ts";
import { latentUpscalers } from "../../model/hires/latent-upscalers.ts";
import { defaultHiresScale } from "../../model/hires/target-size.ts";
import { pixelUpscalers } from "../../model/upscale/enlarge.ts";
import type { HiresChoice } from "../pictures/hires.ts";
import { decimalNumber, wholeNumber } from "./numbers.ts";
import { number, type Values } from "./shared.ts";

export function addHiresOptions(command: Command): void {
  command
    .addOption(
      number(
        "--hires-scale <factor>",
        `enlarge the picture so many times and go over it again, 1 to 8 (${defaultHiresScale} is usual)`,
        decimalNumber("hires-scale", { min: 1, max: 8, hint: "1.5 to 2 is usual" }),
      ),
    )
    .addOption(
      new Option(
        "--hires-size <size>",
        "the same to a size in pixels: 1024x1536; with a 0 in it the proportions stay: 1024x0",
      ).argParser(parseHiresSize),
    )
    .addOption(
      number(
        "--hires-steps <count>",
        "steps of the second pass (default, and 0: as many as the first has)",
        wholeNumber("hires-steps", { min: 0, max: 1000, hint: "10 to 20 is usual" }),
      ),
    )
    .addOption(
      number(
        "--hires-denoise <share>",
        `how much it may change, 0 to 1 (default: ${defaultHiresDenoise})`,
        decimalNumber("hires-denoise", { min: 0, max: 1, hint: "0.3 to 0.7 is usual; latent upscalers need 0.5 and more" }),
      ),
    )
    .option(
      "--hires-upscaler <name>",
      `how to enlarge: ${Object.keys(latentUpscalers).join(", ")} (default: latent), ${Object.keys(pixelUpscalers).join(", ")}, or an ESRGAN file`,
    )
    .option("--hires-sampler <name>", "sampler of the second pass (default: the first one's)")
    .option("--hires-schedule <name>", "its schedule (default: the first one's)")
    .option("--hires-prompt <text>", "its prompt (default: the first one's)")
    .option("--hires-negative <text>", "its negative prompt (default: the first one's)")
    .addOption(
      number(
        "--hires-guidance <scale>",
        "its guidance, 0 to 100 (default: the first one's)",
        decimalNumber("hires-guidance", { min: 0, max: 100, hint: "7 is usual" }),
      ),
    );
}

/** Undefined where no second pass is asked for. @throws UsageError HIRES_INCOMPLETE, OPTIONS_CONFLICT */
export function hiresValues(values: Values): HiresChoice | undefined {
  const picked = <T>(name: string) => values[name] as T | undefined;
  const choice: HiresChoice = {
    scale: picked("hiresScale"),
    size: picked("hiresSize"),
    // A1111's and stable-diffusion.cpp's rule.
    steps: picked<number>("hiresSteps") || undefined,
    denoise: picked("hiresDenoise"),
    upscaler: picked("hiresUpscaler") ?? "latent",
    sampler: picked("hiresSampler"),
    schedule: picked("hiresSchedule"),
    prompt: picked("hiresPrompt"),
    negative: picked("hiresNegative"),
    guidance: picked("hiresGuidance"),
  };
  if (choice.scale !== undefined && choice.size !== undefined) {
    throw new UsageError("OPTIONS_CONFLICT", "--hires-scale and --hires-size both say how large", { hint: "use one of them" });
  }
  if (choice.scale !== undefined || choice.size !== undefined) return choice;
  const other = Object.keys(values).find((name) => /^hires[A-Z]/.test(name) && values[name] !== undefined);
  if (other === undefined) return undefined;
  const flag = other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new UsageError("HIRES_INCOMPLETE", `--${flag} is given, but not how large the second pass shall be`, {
    hint: "add --hires-scale 2, or --hires-size 1024x1024",
  });
}

function parseHiresSize(text: string): { width: number; height: number } {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/i.exec(text.trim()) ?? [];
  const size = { width: Number(width ?? 0), height: Number(height ?? 0) };
  if (size.width > 0 || size.height > 0) return size;
  throw new UsageError("INVALID_HIRES_SIZE", `--hires-size: ${JSON.stringify(text.slice(0, 40))} is no size`, {
    hint: "give width and height in pixels: 1024x1536, or one of them and a 0",
    context: { option: "hires-size", value: text },
  });
}
