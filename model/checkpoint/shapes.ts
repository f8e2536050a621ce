/** @file Questions about the tensors of a file, asked while its configuration is read. */
import { ModelFileError } from "../../engine/errors.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile } from "./safetensors.ts";

/**
 * Size of a tensor along `axis`, at least 1.
 * @throws ModelFileError MODEL_INCOMPLETE without the tensor, CONFIG_SHAPE where it has another rank
 */
export function dim(file: SafetensorsFile, name: string, rank: number, axis: number): number {
  const shape = file.tensors.get(name)?.shape;
  if (shape === undefined) {
    throw new ModelFileError("MODEL_INCOMPLETE", `${file.source.name}: no tensor ${printable(name)}`, {
      hint: "the file is not a whole checkpoint in the original single-file layout; get the full one",
      context: { file: file.source.name, tensor: printable(name) },
    });
  }
  const size = shape[axis] ?? 0;
  if (shape.length !== rank || size < 1) {
    throw new ModelFileError(
      "CONFIG_SHAPE",
      `${file.source.name}: ${printable(name)} is [${shape}], expected ${rank} axes of 1 or more`,
      {
        hint: "the file is no Stable Diffusion checkpoint in the original layout, or damaged",
        context: { file: file.source.name, tensor: printable(name), shape },
      },
    );
  }
  return size;
}

/** How many of `name(0), name(1), ...` there are before the first that is missing. */
export function countOf(file: SafetensorsFile, name: (index: number) => string): number {
  let count = 0;
  while (file.tensors.has(name(count))) count++;
  return count;
}

/** True if any tensor's name begins with `prefix`. */
export function hasPrefix(file: SafetensorsFile, prefix: string): boolean {
  for (const name of file.tensors.keys()) if (name.startsWith(prefix)) return true;
  return false;
}
