/** @file The two forms of a file by torch.save: a zip (since torch 1.6), and pickles one behind the other with the data after them. */
import type { ByteSource } from "../byte-source.ts";
import { bitsOf } from "../dtypes.ts";
import { byteSizes, printable } from "../printable.ts";
import { OutOfBytes } from "./bytes.ts";
import { again, damaged, refuse } from "./failure.ts";
import { isStorage, isTensor, PickleDict, PickleList, PickleObject, type PickleStorage, type PickleValue } from "./objects.ts";
import { unpickle } from "./unpickler.ts";
import { readZip, type ZipEntry } from "./zip-directory.ts";

/** Where a storage's bytes stand in the file. */
export interface Place {
  readonly begin: number;
  readonly end: number;
}

export interface TorchArchive {
  /** What was saved. */
  readonly root: PickleValue;
  /** Bytes that were parsed to find everything. */
  readonly headerBytes: number;
  /** @throws ModelFileError PICKLE_TENSOR where the file lacks it */
  place(storage: PickleStorage): Place;
}

/** Longest pickle read: those of models are a few hundred kilobytes, as the numbers stand elsewhere. */
const maxPickle = 64 * 1024 * 1024;
const firstWindow = 256 * 1024;
/** 0x1950a86a20f9469cfc6c, the first pickle of a legacy file. */
const legacyMagic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const protocolVersion = 1001;

/** Whether the first bytes of a file are those of one by torch.save, and which form it has. */
export function torchForm(start: Uint8Array): "zip" | "legacy" | undefined {
  if (start[0] === 0x50 && start[1] === 0x4b && start[2] === 0x03 && start[3] === 0x04) return "zip";
  if (start[0] !== 0x80) return undefined;
  const window = start.subarray(0, 32);
  for (let at = 2; at + legacyMagic.length <= window.length; at++) {
    if (legacyMagic.every((byte, i) => window[at + i] === byte)) return "legacy";
  }
  return undefined;
}

/** @throws ModelFileError PICKLE_* */
export async function openZip(source: ByteSource): Promise<TorchArchive> {
  const entries = await readZip(source);
  const pickles = [...entries.values()].filter(({ name }) => /^([^/]*\/)?data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) {
    return refuse(
      "PICKLE_FORMAT",
      source.name,
      `a zip with ${pickles.length} entries data.pkl, not a file by torch.save`,
      "pass the model's file itself; unpack other archives first",
    );
  }
  const folder = pickle.name.slice(0, -"data.pkl".length);
  if ([...entries.keys()].some((name) => name.startsWith(`${folder}code/`))) {
    refuse(
      "PICKLE_OBJECT",
      source.name,
      "this is a TorchScript program, not a model's weights",
      "get the weights themselves (.safetensors, .ckpt)",
    );
  }
  await expectLittleEndian(source, entries.get(`${folder}byteorder`));
  if (pickle.end - pickle.begin > maxPickle)
    refuse(
      "PICKLE_TOO_LARGE",
      source.name,
      `a pickle of ${pickle.end - pickle.begin} bytes, at most ${maxPickle} are read`,
      damaged,
    );
  const bytes = await source.read(pickle.begin, pickle.end);
  try {
    return {
      root: unpickle(bytes, source.name).value,
      headerBytes: bytes.length,
      place: (storage) => {
        const entry = entries.get(`${folder}data/${storage.key}`);
        return entry
          ? part(source.name, storage, entry)
          : refuse("PICKLE_TENSOR", source.name, `no data for the storage "${storage.key}"`, damaged);
      },
    };
  } catch (error) {
    throw cutShort(error, source.name, bytes.length);
  }
}

async function expectLittleEndian(source: ByteSource, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return;
  const order = new TextDecoder().decode(await source.read(entry.begin, Math.min(entry.end, entry.begin + 16)));
  if (order === "little") return;
  refuse(
    "PICKLE_FORMAT",
    source.name,
    `its byte order is "${order}"`,
    "save it again on a little-endian machine, which nearly all are",
  );
}

/** @throws ModelFileError PICKLE_* */
export async function openLegacy(source: ByteSource): Promise<TorchArchive> {
  const { values, end } = await readPickles(source);
  const [, protocol, system, root = null, keys] = values;
  if (protocol !== protocolVersion)
    refuse(
      "PICKLE_FORMAT",
      source.name,
      `protocol ${typeof protocol === "number" ? protocol : "unknown"}, not ${protocolVersion}`,
      damaged,
    );
  if (system instanceof PickleDict && system.get("little_endian") === false) {
    refuse(
      "PICKLE_FORMAT",
      source.name,
      "its byte order is big-endian",
      "save it again on a little-endian machine, which nearly all are",
    );
  }
  const places = await placeStorages(source, storagesOf(root), keys, end);
  return {
    root,
    headerBytes: end,
    place: (storage) => {
      const place = places.get(storage.key);
      return place
        ? part(source.name, storage, place)
        : refuse("PICKLE_TENSOR", source.name, `no data for the storage "${storage.key}"`, damaged);
    },
  };
}

/** The five pickles. They end wherever they end, so more and more of the file is looked at until they do. */
async function readPickles(source: ByteSource): Promise<{ values: PickleValue[]; end: number }> {
  for (let window = firstWindow; ; window *= 4) {
    const length = Math.min(window, source.size, maxPickle);
    const bytes = await source.read(0, length);
    try {
      const values: PickleValue[] = [];
      let end = 0;
      for (let i = 0; i < 5; i++) {
        const one = unpickle(bytes, source.name, end);
        values.push(one.value);
        end = one.end;
      }
      return { values, end };
    } catch (error) {
      if (!(error instanceof OutOfBytes) || length === source.size) throw cutShort(error, source.name, length);
      if (length === maxPickle) refuse("PICKLE_TOO_LARGE", source.name, `pickles of more than ${maxPickle} bytes`, damaged);
    }
  }
}

/** Every storage that the pickle mentions, by key, at its full length. */
function storagesOf(root: PickleValue): Map<string, PickleStorage> {
  const found = new Map<string, PickleStorage>();
  const seen = new Set<PickleValue>();
  const todo: PickleValue[] = [root];
  for (let value = todo.pop(); value !== undefined; value = todo.pop()) {
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (value instanceof PickleList) for (const item of value.items) todo.push(item);
    else if (value instanceof PickleDict) for (const item of value.entries.values()) todo.push(item);
    else if (value instanceof PickleObject) todo.push(value.state);
    else if (isTensor(value)) found.set(value.storage.key, value.storage);
    else if (isStorage(value)) found.set(value.key, value);
  }
  return found;
}

/** Behind the pickles, in the order of `keys`: the number of elements, 64 bits, then the elements. */
async function placeStorages(
  source: ByteSource,
  storages: ReadonlyMap<string, PickleStorage>,
  keys: PickleValue | undefined,
  start: number,
): Promise<Map<string, Place>> {
  const { name: file, size } = source;
  const places = new Map<string, Place>();
  let at = start;
  for (const key of keys instanceof PickleList ? keys.items : []) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    // Without its type, nobody knows where the next one begins.
    if (storage === undefined || typeof key !== "string")
      return refuse("PICKLE_FORMAT", file, `storage "${printable(String(key), 40)}" belongs to no tensor`, damaged);
    if (places.has(key)) refuse("PICKLE_DUPLICATE", file, `storage "${key}" is listed twice`, damaged);
    if (at + 8 > size) truncated(file, size, at + 8);
    const bytes = await source.read(at, at + 8);
    const count = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
    const length = count * (bitsOf(storage.dtype ?? "U8") / 8);
    if (!Number.isSafeInteger(length)) refuse("PICKLE_FORMAT", file, `storage "${key}" of ${count} elements`, damaged);
    if (at + 8 + length > size) truncated(file, size, at + 8 + length);
    places.set(key, { begin: at + 8, end: at + 8 + length });
    at += 8 + length;
  }
  if (at !== size) refuse("PICKLE_FORMAT", file, `${size - at} bytes behind the last storage`, damaged);
  return places;
}

/** The bytes of a storage, or of a view of one, within what the file has for it. */
function part(file: string, storage: PickleStorage, place: Place): Place {
  const bytes = bitsOf(storage.dtype ?? "U8") / 8;
  const begin = place.begin + storage.first * bytes;
  const end = begin + storage.count * bytes;
  if (Number.isSafeInteger(end) && end <= place.end) return { begin, end };
  return refuse(
    "PICKLE_TENSOR",
    file,
    `storage "${printable(storage.key, 40)}" needs ${storage.count * bytes} bytes, the file has ${place.end - place.begin}`,
    damaged,
  );
}

function truncated(file: string, have: number, need: number): never {
  const [has, needs] = byteSizes(have, need);
  return refuse("PICKLE_TRUNCATED", file, `file is ${has} of ${needs}`, `the download broke off: ${again}`, {
    bytes: have,
    expected: need,
  });
}

function cutShort(error: unknown, file: string, length: number): unknown {
  if (!(error instanceof OutOfBytes)) return error;
  return refuse(
    "PICKLE_TRUNCATED",
    file,
    `the pickle does not end within its ${length} bytes`,
    `the download broke off: ${again}`,
    { bytes: length },
  );
}
