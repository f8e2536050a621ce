/** @file Safetensors bytes for tests: well-formed ones from tensors, and malformed ones from any header and data. */
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import type { FileDType } from "../../model/checkpoint/dtypes.ts";
import { openSafetensors, type SafetensorsFile } from "../../model/checkpoint/safetensors.ts";

export interface TestTensor {
  readonly name: string;
  readonly dtype: FileDType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Length, header, data: whatever they are. */
export function fileBytes(header: string | Uint8Array, data: Uint8Array = new Uint8Array(), length?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** A well-formed file. `pad` adds spaces to the header, which shifts the data: 1 makes it unaligned. */
export function safetensors(
  tensors: readonly TestTensor[],
  metadata: Readonly<Record<string, string>> = {},
  pad = 0,
): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }): [string, unknown] => {
    const begin = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const data = new Uint8Array(end);
  let at = 0;
  for (const { bytes } of tensors) {
    data.set(bytes, at);
    at += bytes.length;
  }
  const header = JSON.stringify(Object.fromEntries([["__metadata__", metadata], ...entries]));
  return fileBytes(header + " ".repeat(pad), data);
}

export function open(bytes: Uint8Array, name = "test.safetensors"): Promise<SafetensorsFile> {
  return openSafetensors(new MemorySource(bytes, name));
}

/** Values as the bytes of a file's dtype. BF16 is cut, not rounded: choose values that it can hold. */
export function encode(values: ArrayLike<number>, dtype: "F32" | "F16" | "BF16", toHalf: (value: number) => number): Uint8Array {
  const single = Float32Array.from(values);
  if (dtype === "F32") return new Uint8Array(single.buffer);
  const bits = new Uint32Array(single.buffer);
  const halves = Uint16Array.from(single, (value, i) => (dtype === "F16" ? toHalf(value) : bits[i]! >>> 16));
  return new Uint8Array(halves.buffer);
}
