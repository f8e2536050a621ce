/** @file The syntax of the commands that explain: inspect, tokenize, prompt, kernel, trace, doctor. */
import { Command } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { embeddingDirOption, embeddingValues } from "./networks.ts";
import { decimalNumber, wholeNumber } from "./numbers.ts";
import { addCommonOptions, addGpuOptions, common, gpu, maxHeader, number, type Syntax, type Values } from "./shared.ts";

export function inspectSyntax(): Syntax {
  const command = new Command("limn inspect")
    .usage("FILE [options]")
    .description("Show what a checkpoint holds: family, configuration, tensors, metadata.")
    .argument("<file>", "a .safetensors, .ckpt, .pt, .pth or .bin file, a diffusers folder, or a web address")
    .addOption(maxHeader());
  addCommonOptions(command);
  return {
    command,
    finish: () => ({
      command: "inspect",
      options: {
        ...common(command.opts()),
        file: command.args[0]!,
        maxHeader: (command.opts() as Values)["maxHeader"] as number | undefined,
      },
    }),
  };
}

export function tokenizeSyntax(): Syntax {
  const command = new Command("limn tokenize")
    .usage("TEXT [options]")
    .description("Show the token ids of a text, without start and end markers, neither cut nor padded.")
    .argument("[text]", "the text")
    .option("--file <file>", "a JSON array of strings; gives an array of id arrays");
  addCommonOptions(command);
  return {
    command,
    finish() {
      const file = (command.opts() as Values)["file"] as string | undefined;
      const text = command.args[0];
      if (text === undefined && file === undefined) {
        throw new UsageError("MISSING_ARGUMENT", "tokenize: there is no text", {
          hint: 'limn tokenize "a red fox", or --file strings.json',
        });
      }
      if (text !== undefined && file !== undefined) {
        throw new UsageError("OPTIONS_CONFLICT", "tokenize: a text and --file are both given", { hint: "use one of them" });
      }
      return { command: "tokenize", options: { ...common(command.opts()), text, file } };
    },
  };
}

export function promptSyntax(): Syntax {
  const command = new Command("limn prompt")
    .usage('"PROMPT" [options]')
    .description("Show what a prompt means: its parts, tags and schedule, and with --explain the chunks, tokens and weights.")
    .argument("[prompt]", "the prompt")
    .option("--file <file>", "a JSON array of prompts; gives an array of rows")
    .option("--explain", "show chunks, tokens, ids and weights, and which model call sees which text")
    .addOption(number("--steps <count>", "steps of the schedule (default: 20)", wholeNumber("steps", { min: 1, max: 1000 })))
    .option("--sampler <name>", "count the model calls of this one: some ask the model twice a step")
    .addOption(embeddingDirOption());
  addCommonOptions(command);
  return {
    command,
    finish() {
      const values: Values = command.opts();
      const file = values["file"] as string | undefined;
      const text = command.args[0];
      const steps = values["steps"] as number | undefined;
      const sampler = values["sampler"] as string | undefined;
      if ((text === undefined) === (file === undefined)) {
        throw text === undefined
          ? new UsageError("MISSING_ARGUMENT", "prompt: there is no prompt", {
              hint: 'limn prompt "a [red:blue:0.5] fox", or --file prompts.json',
            })
          : new UsageError("OPTIONS_CONFLICT", "prompt: a prompt and --file are both given", { hint: "use one of them" });
      }
      if (file !== undefined && (steps ?? sampler) !== undefined) {
        const given = steps === undefined ? "--sampler" : "--steps";
        throw new UsageError(
          "OPTIONS_CONFLICT",
          `prompt: ${given} and --file are both given, but rows have schedules of 10 and 20 steps`,
          { hint: `leave out ${given}, or give one prompt` },
        );
      }
      const explain = values["explain"] === true;
      return {
        command: "prompt",
        options: { ...common(values), ...embeddingValues(values), text, file, steps: steps ?? 20, sampler, explain },
      };
    },
  };
}

export function kernelSyntax(): Syntax {
  const command = new Command("limn kernel")
    .usage("[NAME] [options]")
    .description("List the kernels and their rungs, or print the whole WGSL module of one.")
    .argument("[name]", "a kernel's name, as the list shows it");
  addCommonOptions(command);
  return { command, finish: () => ({ command: "kernel", options: { ...common(command.opts()), name: command.args[0] } }) };
}

export function traceSyntax(): Syntax {
  const command = new Command("limn trace")
    .usage("--reference FILE [-m MODEL] [options]")
    .description("Compare every module with recorded inputs and outputs, and name the first that diverges (exit 1).")
    .option("-m, --model <file>", "checkpoint; cases of samplers, schedules and generators need none")
    .option("--reference <file>", "the recorded cases, a safetensors file")
    .addOption(
      number(
        "--tolerance <share>",
        "largest error relative to the tensor's largest value (default: 1e-3)",
        decimalNumber("tolerance", { min: 0, max: 1 }),
      ),
    )
    .addOption(maxHeader());
  addGpuOptions(command);
  addCommonOptions(command);
  return {
    command,
    finish() {
      const values: Values = command.opts();
      const reference = values["reference"] as string | undefined;
      if (reference === undefined) {
        throw new UsageError("MISSING_ARGUMENT", "trace: there are no recorded cases to compare with", {
          hint: "give --reference CASES.safetensors",
        });
      }
      return {
        command: "trace",
        options: {
          ...common(values),
          ...gpu(values),
          model: values["model"] as string | undefined,
          reference,
          tolerance: (values["tolerance"] as number | undefined) ?? 1e-3,
          maxHeader: values["maxHeader"] as number | undefined,
        },
      };
    },
  };
}

export function doctorSyntax(): Syntax {
  const command = new Command("limn doctor").description("Say what was found (Node, Dawn, adapters) and prove that it computes.");
  addGpuOptions(command);
  addCommonOptions(command);
  return { command, finish: () => ({ command: "doctor", options: { ...common(command.opts()), ...gpu(command.opts()) } }) };
}
