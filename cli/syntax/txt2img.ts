/** @file The syntax of `limn txt2img`, which is also that of `limn "PROMPT"`. */
import { Command, Option } from "commander";
import { UsageError } from "../../engine/errors.ts";
import type { Precision } from "../../engine/tier.ts";
import { parseSeed } from "../../model/sampling/seed.ts";
import { usualTile } from "../../model/vae/tiles.ts";
import { addHiresOptions, hiresValues } from "./hires.ts";
import { addLoraOptions, loraValues } from "./loras.ts";
import { addNetworkOptions, networkValues } from "./networks.ts";
import { decimalNumber, pictureSide, wholeNumber } from "./numbers.ts";
import type { CommandLine, Txt2imgOptions } from "./options.ts";
import { addPreviewOptions, previewValues } from "./preview.ts";
import { addRefinerOptions, refinerValues } from "./refiner.ts";
import { addNoiseOptions, addPromptOptions, addSamplerOptions, addSizeOptions, samplingValues } from "./sampling.ts";
import { addCommonOptions, addGpuOptions, choice, common, gpu, maxHeader, number, type Syntax, type Values } from "./shared.ts";
import { addStyleOptions, styleValues } from "./styles.ts";

/** Longest prompt, bytes of UTF-8 (the tokenizer's own limit, known here so that it is checked before anything is loaded). */
const maxPromptBytes = 65_536;
/** Most pictures of one batch. */
const maxBatch = 64;
/** Most batches of one run. */
const maxCount = 1000;

export function txt2imgSyntax(): Syntax {
  const { command, options } = pictureSyntax();
  command.addHelpText("after", otherCommands);
  return { command, finish: (words) => ({ command: "txt2img", options: options({ command: "txt2img", words }) }) };
}

/** What every command that makes pictures takes. */
export function pictureSyntax({ promptWanted = true } = {}): {
  readonly command: Command;
  options(line: CommandLine): Txt2imgOptions;
} {
  const command = new Command("limn")
    .usage('"PROMPT" [options]')
    .description('Make a picture from a prompt. (limn "PROMPT" is short for limn txt2img "PROMPT".)')
    .argument("[prompt]", "what the picture shows")
    .addOption(new Option("--prompt <text>", "the prompt, where a list or grid changes it").hideHelp())
    .option("--prompts <file>", "a prompt a line, or options with --prompt among them; - for stdin")
    .option(
      "-m, --model <file>",
      "checkpoint (.safetensors, .ckpt), diffusers folder or web address; without it the small one that comes with limn",
    )
    .option("-n, --negative <text>", "what the picture must not show")
    .option("-o, --output <file>", "where to write the PNG, - for stdout (default: PROMPT-SEED.png)")
    .addOption(number("-W, --width <pixels>", "width, a multiple of 8 (default: the model's)", pictureSide("width")))
    .addOption(number("-H, --height <pixels>", "height, a multiple of 8 (default: the model's)", pictureSide("height")))
    .addOption(
      number(
        "-s, --steps <count>",
        "denoising steps, 1 to 1000 (default: the model's, else 20)",
        wholeNumber("steps", { min: 1, max: 1000, hint: "20 to 50 is usual" }),
      ),
    )
    .addOption(
      number(
        "-g, --guidance <scale>",
        "how strictly to follow the prompt, 0 to 100 (default: the model's, else 7)",
        decimalNumber("guidance", { min: 0, max: 100, hint: "7 is usual" }),
      ),
    )
    .addOption(new Option("--seed <number>", "0 to 2^64-1; -1 or nothing draws one").argParser((text) => parseSeed(text)))
    .addOption(
      number(
        "-b, --batch <count>",
        `pictures, 1 to ${maxBatch}; picture i has seed + i (default: 1)`,
        wholeNumber("batch", { min: 1, max: maxBatch }),
      ),
    )
    .addOption(
      number(
        "--count <count>",
        `batches one after the other, 1 to ${maxCount}; the seed goes on (default: 1)`,
        wholeNumber("count", { min: 1, max: maxCount }),
      ),
    )
    .option(
      "--sampler <name>",
      'euler, euler_a, heun, lms, ddim, plms, ddpm, dpmpp_2m, dpmpp_sde, unipc, lcm, ... (31), or a label such as "DPM++ 2M Karras" (default: the model\'s, else dpmpp_2m)',
    )
    .option(
      "--schedule <name>",
      "discrete, karras, exponential, sgm_uniform, simple, ddim, beta, kl_optimal, ... or A1111's label (default: the sampler's)",
    )
    .addOption(choice("--prediction <kind>", "what the model predicts", ["auto", "eps", "v"]).default("auto", "auto"))
    .option("--vae <file>", "take the VAE from this file or folder")
    .addOption(choice("--vae-precision <type>", "storage of the VAE's numbers", ["auto", "f32", "f16"]).default("auto", "auto"))
    .option("--overwrite", "replace the output file if it exists")
    .option("--strict", "refuse a checkpoint with tensors that are not used")
    .option("--allow-nonfinite", "go on with a checkpoint that holds NaN or infinity")
    .addOption(maxHeader())
    .option("--tiling", "let the edges continue each other, so that copies side by side have no seam")
    .option("--low-memory", "text encoder and VAE leave the GPU while they have nothing to do; implies --vae-tiling")
    .option("--vae-tiling", "encode and decode in overlapping tiles, for less memory; done anyway where the whole does not fit")
    .addOption(
      number(
        "--vae-tile <pixels>",
        "the same in tiles of this side, 128 to 4096 in steps of 64 (512)",
        wholeNumber("vae-tile", { min: 128, max: 4096, hint: `a multiple of 64; ${usualTile} is usual` }),
      ),
    )
    .option("--noise <file>", "start from this noise: a safetensors with one tensor [1,4,H/8,W/8]")
    .option("--save-latent <file>", "write the final latent as safetensors");
  command.optionsGroup("Add-ons:");
  addLoraOptions(command);
  addNetworkOptions(command);
  command.optionsGroup("Prompt rules:");
  addStyleOptions(command);
  addPromptOptions(command);
  command.optionsGroup("Sampling:");
  addSamplerOptions(command);
  command.optionsGroup("Noise:");
  addNoiseOptions(command);
  command.optionsGroup("Second pass (hires fix):");
  addHiresOptions(command);
  command.optionsGroup("SDXL:");
  addSizeOptions(command);
  addRefinerOptions(command);
  command.optionsGroup("Previews:");
  addPreviewOptions(command);
  command.optionsGroup("Machine:");
  addGpuOptions(command);
  command.optionsGroup("Output:");
  addCommonOptions(command);
  return {
    command,
    options(line) {
      const values: Values = command.opts();
      const prompts = values["prompts"] as string | undefined;
      const given = (values["prompt"] as string | undefined) ?? command.args[0];
      if (given === undefined && prompts === undefined && promptWanted)
        throw new UsageError("MISSING_ARGUMENT", "there is no prompt", { hint: 'limn "a red fox" --seed 3' });
      const prompt = checkedPrompt("prompt", given ?? "");
      const batch = (values["batch"] as number | undefined) ?? 1;
      const count = (values["count"] as number | undefined) ?? 1;
      const output = values["output"] as string | undefined;
      if (output === "-" && (batch * count > 1 || prompts !== undefined)) {
        const asks = prompts === undefined ? (batch > 1 ? "--batch" : "--count") : "--prompts";
        throw new UsageError("OPTIONS_CONFLICT", `--output -: stdout takes one picture, ${asks} asks for more`, {
          hint: `write to files, or leave ${asks} out`,
        });
      }
      if (output === "-" && values["json"]) {
        throw new UsageError("OPTIONS_CONFLICT", "--output - and --json both want stdout", { hint: "use one of them" });
      }
      if (values["noise"] !== undefined && batch * count > 1) {
        throw new UsageError("OPTIONS_CONFLICT", `--noise gives the noise of one picture, ${batch * count} are asked for`, {
          hint: "leave --batch and --count out",
        });
      }
      return {
        ...common(values),
        ...gpu(values),
        prompt,
        negative: checkedPrompt("negative", (values["negative"] as string | undefined) ?? ""),
        model: values["model"] as string | undefined,
        output,
        width: values["width"] as number | undefined,
        height: values["height"] as number | undefined,
        steps: values["steps"] as number | undefined,
        guidance: values["guidance"] as number | undefined,
        seed: (values["seed"] as bigint | undefined) ?? parseSeed(),
        batch,
        count,
        prompts: prompts === undefined ? undefined : { file: prompts, line },
        sampler: values["sampler"] as string | undefined,
        schedule: values["schedule"] as string | undefined,
        ...samplingValues(values),
        ...styleValues(values),
        ...loraValues(values),
        ...networkValues(values),
        tiling: values["tiling"] === true || undefined,
        vaeTile: (values["vaeTile"] as number | undefined) ?? (values["vaeTiling"] === true ? usualTile : undefined),
        hires: hiresValues(values),
        ...refinerValues(values),
        preview: previewValues(values),
        prediction: values["prediction"] as "auto" | "eps" | "v",
        vae: values["vae"] as string | undefined,
        vaePrecision: values["vaePrecision"] as Precision,
        overwrite: values["overwrite"] === true,
        strict: values["strict"] === true,
        allowNonfinite: values["allowNonfinite"] === true,
        lowMemory: values["lowMemory"] === true,
        maxHeader: values["maxHeader"] as number | undefined,
        noise: values["noise"] as string | undefined,
        saveLatent: values["saveLatent"] as string | undefined,
      };
    },
  };
}

function checkedPrompt(name: string, text: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxPromptBytes) return text;
  throw new UsageError("PROMPT_TOO_LONG", `${name}: ${bytes} bytes are above the limit of ${maxPromptBytes}`, {
    hint: "shorten it: a text encoder reads about 75 words at a time",
    context: { bytes, limit: maxPromptBytes },
  });
}

const otherCommands = `
Other commands (limn COMMAND --help):
  img2img PROMPT     make a picture from a picture (--init FILE)
  inpaint PROMPT     paint a part of a picture anew (--init FILE --mask FILE)
  grid PROMPT        make many pictures that differ in some options, on one sheet (--x steps=10,20)
  repl               a picture for each line, with the model kept loaded
  styles             list the styles of styles.csv
  upscale PICTURE    make a picture larger (-m ESRGAN)
  info PICTURE       show what made a picture, and how
  reproduce PICTURE  make it again, and compare
  inspect FILE       show what a checkpoint holds
  tokenize TEXT      show the token ids of a text
  prompt TEXT        show how a prompt is read: weights, chunks, schedule
  kernel [NAME]      list the kernels, or print one as WGSL
  trace              compare every module with recorded outputs
  plan               show what a picture will take, and whether it fits
  doctor             say what was found on this machine, and prove that it computes

Exit codes: 0 done, 1 a fault (trace, reproduce: a difference), 2 usage, 3 model file, 4 file system, 5 no adapter, 6 GPU memory, 7 device lost, 8 NaN, 9 network, 10 picture, 130 interrupted.
`;
