/** @file Row bands: how an operation whose tensors are larger than one binding may be runs in several launches. */
import { OutOfMemoryError, type Tensor } from "../engine/index.ts";

/**
 * Calls `launch` for consecutive bands of rows, so that every tensor's band fits into one binding (128 MiB on many adapters).
 * Each tensor is seen as [rows, its size / rows]; a band of all rows (the usual case) is given the tensors as views of that shape.
 * `multiple`: every band but the last has a multiple of so many rows.
 * @throws OutOfMemoryError BINDING_TOO_LARGE where the fewest rows are too large
 */
export function inBands<T extends Readonly<Record<string, Tensor>>>(
  op: string,
  rows: number,
  tensors: T,
  launch: (band: { readonly [K in keyof T]: Tensor }, rows: number, begin: number) => void,
  multiple = 1,
): void {
  const all = Object.values(tensors);
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } = all[0]!.device.limits;
  const rowBytes = all.map((tensor) => tensor.bytes / rows);
  const most = Math.floor(limit / Math.max(...rowBytes));
  // A band's first byte must be aligned in every tensor. Alignments are powers of two, so the largest step serves all.
  const step = Math.max(...rowBytes.map((bytes) => alignment / powerOfTwoIn(bytes, alignment)));
  const unit = leastCommonMultiple(step, multiple);
  const size = most >= rows ? rows : Math.floor(most / unit) * unit;
  if (size === 0) {
    throw new OutOfMemoryError(
      "BINDING_TOO_LARGE",
      `${op}: ${unit} rows of ${Math.max(...rowBytes)} bytes are more than a binding may have (${limit})`,
      {
        hint: "make a smaller picture",
        context: { rowBytes: Math.max(...rowBytes), limit },
      },
    );
  }
  for (let begin = 0; begin < rows; begin += size) {
    const end = Math.min(rows, begin + size);
    const band = Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, tensor.reshape([rows, tensor.size / rows]).rows(begin, end)]),
    ) as { readonly [K in keyof T]: Tensor };
    launch(band, end - begin, begin);
  }
}

/** The largest power of two, at most `limit`, that divides `value`. */
function powerOfTwoIn(value: number, limit: number): number {
  let power = 1;
  while (power < limit && value % (2 * power) === 0) power *= 2;
  return power;
}

function leastCommonMultiple(a: number, b: number): number {
  let multiple = Math.max(a, b);
  while (multiple % a !== 0 || multiple % b !== 0) multiple += Math.max(a, b);
  return multiple;
}
