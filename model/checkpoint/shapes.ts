/** @file Questions about the tensors of a file, asked while its configuration is read. */
import { ModelFileError } from "../../engine/errors.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile } from "./safetensors.ts";

/**
 * Size of a tensor along `axis`, at least 1; 0 without the tensor: expected-tensors.ts tells of all that are missing together.
 * @throws ModelFileError CONFIG_SHAPE where it has another rank
 */
export function dim(file: SafetensorsFile, name: string, rank: number, axis: number): number {
  const shape = file.tensors.get(name)?.shape;
  if (shape === undefined) return 0;
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

/**
 * How many of `path.0`, `path.1`, ... a model has of which the file holds any part: one more than the largest of those numbers, so
 * that what is missing between them, or of one of them, is missed. Numbers above 999 are no model's.
 */
export function countOf(file: SafetensorsFile, path: string): number {
  return pathsOf(file).get(path) ?? 0;
}

/** True if any tensor's name begins with `path.`. */
export function holds(file: SafetensorsFile, path: string): boolean {
  return pathsOf(file).has(path);
}

const known = new WeakMap<SafetensorsFile["tensors"], ReadonlyMap<string, number>>();

/** Every path that tensors stand below, with the answer of `countOf`. */
function pathsOf({ tensors }: SafetensorsFile): ReadonlyMap<string, number> {
  const found = known.get(tensors);
  if (found) return found;
  const paths = new Map<string, number>();
  const counts: [path: string, count: number][] = [];
  for (const name of tensors.keys()) {
    for (let end = name.lastIndexOf("."); end > 0; ) {
      const path = name.slice(0, end);
      if (paths.has(path)) break; // and all that it stands below
      paths.set(path, 0);
      end = path.lastIndexOf(".");
      const [parent, last] = [path.slice(0, Math.max(0, end)), path.slice(end + 1)];
      if (/^\d{1,3}$/.test(last)) counts.push([parent, Number(last) + 1]);
    }
  }
  for (const [path, count] of counts) paths.set(path, Math.max(paths.get(path) ?? 0, count));
  known.set(tensors, paths);
  return paths;
}
