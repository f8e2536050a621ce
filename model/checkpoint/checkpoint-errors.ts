/** @file What may be wrong with a checkpoint's tensors as a whole, in words. */
import { ModelFileError } from "../../engine/index.ts";
import { bitsOf, weightDTypes } from "./dtypes.ts";
import { printable } from "./printable.ts";
import type { TensorEntry } from "./safetensors.ts";

/** `family`: what the file was recognised as; `nearness`: how much it has of each family. */
export function missing(file: string, names: readonly string[], family?: string, nearness?: string): ModelFileError {
  const as = family === undefined ? "" : ` for a model of the family ${family}`;
  const near = nearness === undefined ? "" : ` (by name it has ${nearness})`;
  return new ModelFileError(
    "CHECKPOINT_MISSING",
    `${file}: ${counted(names.length)} missing${as}: ${listed(names.map((name) => printable(name)))}`,
    {
      hint: `the file is incomplete or of another family${near}; \`limn inspect\` shows what it holds`,
      context: { file, count: names.length, missing: names.slice(0, 10) },
    },
  );
}

export function unused(file: string, names: readonly string[]): ModelFileError {
  return new ModelFileError(
    "CHECKPOINT_UNUSED",
    `${file}: ${counted(names.length)} not used: ${listed(names.map((name) => printable(name)))}`,
    { hint: "load it without --strict if they don't matter", context: { count: names.length, unused: names.slice(0, 10) } },
  );
}

export function unreadable(file: string, { name, dtype }: TensorEntry): ModelFileError {
  const tensor = printable(name);
  return new ModelFileError("CHECKPOINT_DTYPE", `${file}: tensor "${tensor}" is ${dtype} (${bitsOf(dtype)} bits)`, {
    hint: `weights may be ${weightDTypes.join(", ")}: get or convert to a version in one of these`,
    context: { file, tensor, dtype },
  });
}

export function changed(file: string): ModelFileError {
  return new ModelFileError("CHECKPOINT_CHANGED", `${file}: the file changed while it was read`, {
    hint: "wait until its download or conversion has ended, then run again",
    context: { file },
  });
}

const counted = (count: number): string => (count === 1 ? "1 tensor is" : `${count} tensors are`);

/** The first ten, and how many more there are. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(", ");
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
