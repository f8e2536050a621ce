/** @file What the commands' syntaxes share: option kinds, the flags that every command has, those for the GPU. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { tiers } from "../../engine/tier.ts";
import { decimalNumber, wholeNumber } from "./numbers.ts";
import type { CommonOptions, GpuOptions, Invocation } from "./options.ts";

/** A command as commander sees it, and the way from its values to our record. */
export interface Syntax {
  readonly command: Command;
  /** Reads the parsed values and makes the last checks. `words` are those that were parsed. @throws UsageError */
  finish(words: readonly string[]): Invocation;
}

/** commander's values, by option name. */
export type Values = Readonly<Record<string, unknown>>;

/** An option with a number, checked by `parse`. */
export function number(flags: string, description: string, parse: (text: string) => number): Option {
  return new Option(flags, description).argParser(parse);
}

/** An option with one of a few values. */
export function choice(flags: string, description: string, values: readonly string[]): Option {
  return new Option(flags, `${description}: ${values.join(", ")}`).argParser((text) => {
    if (values.includes(text)) return text;
    throw new InvalidArgumentError(`use ${values.join(", ")}`);
  });
}

export function maxHeader(): Option {
  return number(
    "--max-header <bytes>",
    "longest file header accepted (default: 25000000)",
    wholeNumber("max-header", { min: 8, max: 100_000_000 }),
  );
}

export function background(): Option {
  return new Option("--bg <color>", "behind transparent parts: white, black, grey or #rrggbb").default("white", "white");
}

/** Another description for an option, where a command means something of its own by it. */
export function describe(command: Command, long: string, description: string): void {
  for (const option of command.options) if (option.long === long) option.description = description;
}

export function addGpuOptions(command: Command): void {
  command
    .addOption(
      number("--adapter <index>", "use this adapter, as limn doctor lists them", wholeNumber("adapter", { min: 0, max: 255 })),
    )
    .option("--require-gpu", "refuse an adapter that computes on the CPU")
    .addOption(choice("--tier <name>", "force the kernels for a kind of adapter", tiers))
    .addOption(choice("--precision <kind>", "storage of weights and activations", ["auto", "f32", "f16"]).default("auto", "auto"))
    .addOption(
      number(
        "--limit-binding <MiB>",
        "as if the adapter bound no more than this at a time, to test what larger tensors are cut into",
        decimalNumber("limit-binding", { min: 0.25, max: 4096 }),
      ),
    );
}

export function addCommonOptions(command: Command): void {
  command
    .option("--json", "one JSON object on stdout")
    .option("-q, --quiet", "no progress")
    .option("--verbose", "say more on stderr")
    .option("--debug", "stack traces");
}

/** The flags that every command has. */
export function common(values: Values): CommonOptions {
  return {
    json: values["json"] === true,
    quiet: values["quiet"] === true,
    verbose: values["verbose"] === true,
    debug: values["debug"] === true,
  };
}

/** The choice of adapter and kernels. */
export function gpu(values: Values): GpuOptions {
  return {
    adapter: values["adapter"] as number | undefined,
    requireGpu: values["requireGpu"] === true,
    tier: values["tier"] as GpuOptions["tier"],
    precision: values["precision"] as GpuOptions["precision"],
    limitBinding: values["limitBinding"] as number | undefined,
  };
}
