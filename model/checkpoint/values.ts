/** @file Whole small tensors of a file as numbers on the CPU: for configuration, cases files, `--noise`. */
import { ModelFileError } from "../../engine/errors.ts";
import { as16, as32, byteBits, halfBits } from "./numbers.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile, TensorEntry } from "./safetensors.ts";

/** The entry of a tensor. @throws ModelFileError CHECKPOINT_MISSING */
export function entryOf(file: SafetensorsFile, name: string): TensorEntry {
  const entry = file.tensors.get(name);
  if (entry === undefined) {
    throw new ModelFileError("CHECKPOINT_MISSING", `${file.source.name}: no tensor "${printable(name)}"`, {
      hint: "`limn inspect` lists what the file holds",
      context: { file: file.source.name, tensor: printable(name) },
    });
  }
  return entry;
}

/**
 * All values of a tensor, in file order (row-major), as F32. Integers above 2^24 lose digits.
 * @throws ModelFileError CHECKPOINT_MISSING, CHECKPOINT_DTYPE
 */
export async function readValues(file: SafetensorsFile, name: string): Promise<Float32Array> {
  const entry = entryOf(file, name);
  return valuesOf(file, entry, await file.source.read(entry.begin, entry.end));
}

/** The values in a tensor's bytes. @throws ModelFileError CHECKPOINT_DTYPE */
export function valuesOf(file: SafetensorsFile, { name, dtype }: TensorEntry, bytes: Uint8Array): Float32Array {
  const convert = converters[dtype];
  if (convert === undefined) {
    const known = Object.keys(converters).join(", ");
    throw new ModelFileError("CHECKPOINT_DTYPE", `${file.source.name}: "${printable(name)}" is ${dtype}, not one of ${known}`, {
      hint: "convert the file to F32 or F16",
      context: { file: file.source.name, tensor: printable(name), dtype },
    });
  }
  return convert(bytes);
}

type Convert = (bytes: Uint8Array) => Float32Array;

const viewed =
  (size: number, get: (view: DataView, at: number) => number): Convert =>
  (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Float32Array.from({ length: bytes.byteLength / size }, (_, i) => get(view, i * size));
  };

const fromTable = (bits: Uint8Array | Uint16Array, table: Uint32Array): Float32Array =>
  new Float32Array(Uint32Array.from(bits, (index) => table[index] ?? 0).buffer);

const converters: Partial<Record<string, Convert>> = {
  F32: (bytes) => {
    const words = as32(bytes);
    return new Float32Array(words.buffer, words.byteOffset, words.length);
  },
  F16: (bytes) => fromTable(as16(bytes), halfBits()),
  BF16: (bytes) => new Float32Array(Uint32Array.from(as16(bytes), (half) => half << 16).buffer),
  F8_E4M3: (bytes) => fromTable(bytes, byteBits("F8_E4M3")),
  F8_E5M2: (bytes) => fromTable(bytes, byteBits("F8_E5M2")),
  F64: viewed(8, (view, at) => view.getFloat64(at, true)),
  I64: viewed(8, (view, at) => Number(view.getBigInt64(at, true))),
  U64: viewed(8, (view, at) => Number(view.getBigUint64(at, true))),
  I32: viewed(4, (view, at) => view.getInt32(at, true)),
  U32: viewed(4, (view, at) => view.getUint32(at, true)),
  I16: viewed(2, (view, at) => view.getInt16(at, true)),
  U16: viewed(2, (view, at) => view.getUint16(at, true)),
  I8: viewed(1, (view, at) => view.getInt8(at)),
  U8: viewed(1, (view, at) => view.getUint8(at)),
  BOOL: viewed(1, (view, at) => view.getUint8(at)),
};
