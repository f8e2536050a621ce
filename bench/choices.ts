/** @file The options of the bench's commands, each checked before anything is measured. */
import { type Command, Option } from "commander";
import { decimalNumber, pictureSide, wholeNumber } from "../cli/syntax/numbers.ts";
import { type Precision, type Tier, tiers, UsageError } from "../engine/index.ts";
import { expectComparable, type Subject } from "./compare.ts";
import { expectPlaceFor, readKept } from "./files.ts";
import type { BenchCase } from "./operations.ts";

export interface Common {
  readonly tier?: Tier;
  readonly precision?: Precision;
  readonly json?: boolean;
  readonly save?: string;
  readonly compare?: string;
  readonly maxSlowdown: number;
}

/** A command that measures, with the options that all of those have. */
export function timedCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addOption(new Option("--tier <tier>", "force a tier").choices([...tiers]))
    .addOption(new Option("--precision <precision>", "storage").choices(["auto", "f32", "f16"]).default("auto"))
    .option("--json", "one JSON object on stdout")
    .option("--save <file>", "keep the result")
    .option("--compare <file>", "compare with a kept result; exit 1 if anything is slower than --max-slowdown")
    .option("--max-slowdown <factor>", "for --compare", decimalNumber("max-slowdown", { min: 0.01, max: 1000 }), 1.1)
    .option("--debug", "a stack trace with errors");
}

export function sizeOption(): Option {
  const size = new Option("--size <pixels>", "picture size (512 for sd15, 1024 for sdxl, 128 for embedded)");
  return size.argParser(pictureSide("size"));
}

export function batchOption(): Option {
  const batch = new Option("--batch <samples>", "2 with guidance, 1 without").default(2);
  return batch.argParser(wholeNumber("batch", { min: 1, max: 128 }));
}

export function runsOption(description: string, count: number): Option {
  const runs = new Option("--runs <count>", description).default(count);
  return runs.argParser(wholeNumber("runs", { min: 1, max: 1000 }));
}

export function peakOption(): Option {
  const peak = new Option(
    "--peak <tflops>",
    "what shares are of, TFLOP/s (default: 620 where there are goals, elsewhere as measured)",
  );
  return peak.argParser(decimalNumber("peak", { min: 0.001, max: 1e6 }));
}

/** Those with `name` in theirs. @throws UsageError UNKNOWN_KERNEL where there is none: a gate on it would pass */
export function casesNamed(cases: readonly BenchCase[], name = ""): BenchCase[] {
  const wanted = cases.filter((benchCase) => benchCase.name.includes(name));
  if (wanted.length > 0) return wanted;
  const kinds = new Map(cases.map((benchCase) => [benchCase.operation, benchCase.name]));
  throw new UsageError("UNKNOWN_KERNEL", `none of these kernels has ${JSON.stringify(name)} in its name`, {
    hint: `there are ${cases.length}, such as ${[...kinds.values()].join(", ")}; --family has others`,
    context: { name, names: cases.map((benchCase) => benchCase.name) },
  });
}

/** What `--save` and `--compare` name. @returns the kept run, if there is one to compare with */
export function checkFiles({ save, compare }: Common, subject: Subject, names?: readonly string[]): object | undefined {
  if (save !== undefined) expectPlaceFor(save);
  if (compare === undefined) return undefined;
  const kept = readKept(compare);
  expectComparable(kept, subject, names);
  return kept;
}
