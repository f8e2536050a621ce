/** @file Every variant that a kernel can be compiled in. */
import type { KernelDefinition, Variant } from "../../engine/index.ts";

/** All combinations of element types and flags, with the tunables' defaults; f16 only where asked. */
export function variantsOf(kernel: KernelDefinition, dtypes: readonly ("f32" | "f16")[]): Variant[] {
  const fixed = ["f32", "f16", "u32", "atomic<u32>"];
  const aliases = [...new Set(kernel.buffers.map(({ type }) => type).filter((type) => !fixed.includes(type)))];
  const flags = Object.keys(kernel.spec.flags ?? {});
  return combinations(aliases, dtypes).flatMap((types) => combinations(flags, [false, true]).map((flags) => ({ types, flags })));
}

/** Every way to give each name one of the values. */
function combinations<T>(names: readonly string[], values: readonly T[]): Record<string, T>[] {
  return names.reduce<Record<string, T>[]>(
    (known, name) => known.flatMap((record) => values.map((value) => ({ ...record, [name]: value }))),
    [{}],
  );
}
