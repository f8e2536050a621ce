/** @file Files as torch.save writes them, for tests: a pickle put together by hand, in both containers, well-formed or not. */
import type { FileDType } from "../../model/checkpoint/dtypes.ts";
import type { TestTensor } from "./build-file.ts";

const storageNames: Partial<Record<FileDType, string>> = {
  F32: "FloatStorage",
  F16: "HalfStorage",
  BF16: "BFloat16Storage",
  F64: "DoubleStorage",
  I64: "LongStorage",
  I32: "IntStorage",
  U8: "ByteStorage",
};
const elementBytes: Partial<Record<FileDType, number>> = { F32: 4, F16: 2, BF16: 2, F64: 8, I64: 8, I32: 4, U8: 1 };

const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];
const u32 = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, (value >>> 24) & 255];

/** Opcodes as bytes, to be joined. */
export const op = {
  proto: [0x80, 2],
  stop: [0x2e],
  mark: [0x28],
  none: [0x4e],
  emptyDict: [0x7d],
  emptyList: [0x5d],
  emptyTuple: [0x29],
  tuple: [0x74],
  setItems: [0x75],
  appends: [0x65],
  reduce: [0x52],
  build: [0x62],
  persId: [0x51],
  text: (value: string): number[] => [0x58, ...u32(utf8(value).length), ...utf8(value)],
  int: (value: number): number[] =>
    value < 2 ** 31
      ? [0x4a, ...u32(value)]
      : [0x8a, 9, ...Array.from({ length: 9 }, (_, i) => Math.floor(value / 256 ** i) % 256)],
  global: (module: string, name: string): number[] => [0x63, ...utf8(`${module}\n${name}\n`)],
  put: (index: number): number[] => [0x72, ...u32(index)],
  get: (index: number): number[] => [0x6a, ...u32(index)],
};

export interface View {
  readonly storage?: string;
  readonly key?: string;
  readonly count: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

const tupleOf = (...items: readonly (readonly number[])[]): number[] => [...op.mark, ...items.flat(), ...op.tuple];

/** The opcodes of one tensor. */
export function tensorOps(
  { storage = "FloatStorage", key = "0", count, offset = 0, shape, strides }: View,
  legacy = false,
): number[] {
  const id = tupleOf(
    op.text("storage"),
    op.global("torch", storage),
    op.text(key),
    op.text("cpu"),
    op.int(count),
    ...(legacy ? [op.none] : []),
  );
  const args = tupleOf(
    [...id, ...op.persId],
    op.int(offset),
    tupleOf(...shape.map(op.int)),
    tupleOf(...strides.map(op.int)),
    [0x89],
    [...op.global("collections", "OrderedDict"), ...op.emptyTuple, ...op.reduce],
  );
  return [...op.global("torch._utils", "_rebuild_tensor_v2"), ...args, ...op.reduce];
}

export const dictOps = (entries: Readonly<Record<string, readonly number[]>>): number[] => [
  ...op.emptyDict,
  ...op.mark,
  ...Object.entries(entries).flatMap(([key, value]) => [...op.text(key), ...value]),
  ...op.setItems,
];

export const pickle = (...parts: readonly (readonly number[])[]): Uint8Array =>
  Uint8Array.from([...op.proto, ...parts.flat(), ...op.stop]);

export interface ZipItem {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
}

/** A zip with its data on multiples of 64, as torch pads it. `zip64` writes the sizes in their wide form. */
export function zip(items: readonly ZipItem[], options: { readonly zip64?: boolean } = {}): Uint8Array {
  return join(zipParts(items, options));
}

/** The same in pieces, where `bytes` may be a stand-in that has nothing but a length. */
export function zipParts(items: readonly ZipItem[], { zip64 = false }: { readonly zip64?: boolean } = {}): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const add = (...made: readonly Uint8Array[]): void => {
    for (const part of made) {
      parts.push(part);
      at += part.length;
    }
  };
  for (const { name, bytes, method = 0, flags = 0x808 } of items) {
    const header = at;
    const text = new TextEncoder().encode(name);
    const padding = 4 + ((64 - ((at + 30 + text.length + 4) % 64)) % 64);
    const local = record(30, [
      [0, 0x04034b50, 4],
      [6, flags, 2],
      [8, method, 2],
      [26, text.length, 2],
      [28, padding, 2],
    ]);
    const extra = record(padding, [
      [0, 0x4246, 2],
      [2, padding - 4, 2],
    ]);
    add(local, text, extra, bytes);
    const wide = zip64
      ? record(28, [
          [0, 1, 2],
          [2, 24, 2],
          [4, bytes.length, 8],
          [12, bytes.length, 8],
          [20, header, 8],
        ])
      : new Uint8Array();
    const size = zip64 ? 0xffffffff : bytes.length;
    const entry = record(46, [
      [0, 0x02014b50, 4],
      [8, flags, 2],
      [10, method, 2],
      [20, size, 4],
      [24, size, 4],
      [28, text.length, 2],
      [30, wide.length, 2],
      [42, zip64 ? 0xffffffff : header, 4],
    ]);
    directory.push(entry, text, wide);
  }
  const begin = at;
  add(...directory);
  const length = at - begin;
  const end = at;
  add(
    record(56, [
      [0, 0x06064b50, 4],
      [4, 44, 8],
      [24, items.length, 8],
      [32, items.length, 8],
      [40, length, 8],
      [48, begin, 8],
    ]),
  );
  add(
    record(20, [
      [0, 0x07064b50, 4],
      [8, end, 8],
      [16, 1, 4],
    ]),
  );
  const count = zip64 ? 0xffff : items.length;
  add(
    record(22, [
      [0, 0x06054b50, 4],
      [8, count, 2],
      [10, count, 2],
      [12, zip64 ? 0xffffffff : length, 4],
      [16, zip64 ? 0xffffffff : begin, 4],
    ]),
  );
  return parts;
}

/** Bytes with little-endian numbers of 2, 4 or 8 bytes in them. */
function record(length: number, fields: readonly (readonly [at: number, value: number, bytes: number])[]): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (const [at, value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else if (size === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
  }
  return bytes;
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A zip by torch.save of any pickle, with its storages. */
export const torchZip = (data: Uint8Array, storages: Readonly<Record<string, Uint8Array>> = {}): Uint8Array =>
  zip([
    { name: "model/data.pkl", bytes: data },
    { name: "model/byteorder", bytes: new TextEncoder().encode("little") },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `model/data/${key}`, bytes })),
    { name: "model/version", bytes: new TextEncoder().encode("3\n") },
  ]);

/** The older form: five pickles, then the storages in the order of `keys`. */
export function torchLegacy(
  data: Uint8Array,
  storages: Readonly<Record<string, readonly [count: number, bytes: Uint8Array]>>,
  keys = Object.keys(storages),
): Uint8Array {
  const magic = Uint8Array.from([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]);
  const system = pickle(op.emptyDict, op.mark, op.text("little_endian"), [0x88], op.setItems);
  const list = pickle(op.emptyList, op.mark, ...keys.map(op.text), op.appends);
  const tail = keys.flatMap((key) => [record(8, [[0, storages[key]?.[0] ?? 0, 8]]), storages[key]?.[1] ?? new Uint8Array()]);
  return join([magic, pickle(op.int(1001)), system, data, list, ...tail]);
}

/** A state dict, as Lightning saves a checkpoint: each tensor in a storage of its own, names given twice by the memo. */
export function torchCheckpoint(tensors: readonly TestTensor[], form: "zip" | "legacy" = "zip"): Uint8Array {
  const strides = (shape: readonly number[]) =>
    shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const storages: Record<string, [number, Uint8Array]> = {};
  const entries: Record<string, number[]> = {};
  for (const [i, { name, dtype, shape, bytes }] of tensors.entries()) {
    const count = bytes.length / elementBytes[dtype]!;
    const key = String(form === "zip" ? i : 94_000_000 + i);
    storages[key] = [count, bytes];
    entries[name] = tensorOps({ storage: storageNames[dtype]!, key, count, shape, strides: strides(shape) }, form === "legacy");
  }
  const data = pickle(dictOps({ epoch: op.int(3), state_dict: dictOps(entries) }));
  if (form === "legacy") return torchLegacy(data, storages);
  return torchZip(data, Object.fromEntries(Object.entries(storages).map(([key, [, bytes]]) => [key, bytes])));
}
