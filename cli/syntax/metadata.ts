/** @file The syntax of the commands that read pictures' metadata: info and reproduce. */
import { Command } from "commander";
import { wholeNumber } from "./numbers.ts";
import { addCommonOptions, addGpuOptions, common, gpu, maxHeader, number, type Syntax, type Values } from "./shared.ts";

export function infoSyntax(): Syntax {
  const command = new Command("limn info")
    .usage("PICTURE [options]")
    .description("Show what made a picture, and how: pictures of limn, A1111, ComfyUI and stable-diffusion.cpp.")
    .argument("<picture>", "a PNG, JPEG or WebP file")
    .option("--raw", "print the whole texts too");
  addCommonOptions(command);
  return {
    command,
    finish() {
      const values: Values = command.opts();
      return { command: "info", options: { ...common(values), picture: command.args[0]!, raw: values["raw"] === true } };
    },
  };
}

export function reproduceSyntax(): Syntax {
  const folder = (path: string, before: readonly string[] | undefined) => [...(before ?? []), path];
  const command = new Command("limn reproduce")
    .usage("PICTURE [options]")
    .description(
      "Make a picture again from its metadata and compare: exit code 0 where it is the same, 1 where it is not. Models are found by their hashes.",
    )
    .argument("<picture>", "a PNG, JPEG or WebP file")
    .option("--model-dir <folder>", "look for models here too; may be given several times", folder)
    .option("--lora-dir <folder>", "look for LoRAs here", folder)
    .option("--embedding-dir <folder>", "look for textual inversion embeddings here", folder)
    .option("--hypernet-dir <folder>", "look for hypernetworks here", folder)
    .option("-m, --model <file>", "take this checkpoint, whatever its hash")
    .option("--vae <file>", "take this VAE, whatever its hash")
    .option("--init <file>", "the picture that it was made from, whatever its hash")
    .option("--mask <file>", "the mask that it was made with, whatever its hash")
    .addOption(
      number(
        "--tolerance <levels>",
        "how far apart, of 255, a channel of a pixel may be (default: 0)",
        wholeNumber("tolerance", { min: 0, max: 255, hint: "0 on the same kind of machine, 2 or 3 on another" }),
      ),
    )
    .option("-o, --output <file>", "keep the new picture")
    .option("--overwrite", "replace the output file if it exists")
    .addOption(maxHeader());
  addGpuOptions(command);
  addCommonOptions(command);
  return {
    command,
    finish() {
      const values: Values = command.opts();
      const folders = (name: string) => (values[name] as string[] | undefined) ?? [];
      const text = (name: string) => values[name] as string | undefined;
      return {
        command: "reproduce",
        options: {
          ...common(values),
          ...gpu(values),
          picture: command.args[0]!,
          modelDirs: folders("modelDir"),
          loraDirs: folders("loraDir"),
          embeddingDirs: folders("embeddingDir"),
          hypernetDirs: folders("hypernetDir"),
          model: text("model"),
          vae: text("vae"),
          init: text("init"),
          mask: text("mask"),
          output: text("output"),
          overwrite: values["overwrite"] === true,
          tolerance: (values["tolerance"] as number | undefined) ?? 0,
          maxHeader: values["maxHeader"] as number | undefined,
        },
      };
    },
  };
}
