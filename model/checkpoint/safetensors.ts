/**
 * @file The safetensors format (huggingface/safetensors README and `safetensors/src/tensor.rs`): 8 bytes of header length,
 * a JSON header, the data. Only the header is read here, under every rule of the reference reader and some lower caps:
 * nothing is allocated by a number from the file before that number has been checked.
 */
import { ModelFileError } from "../../engine/errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { bitsOf, type FileDType, isFileDType, knownDTypes } from "./dtypes.ts";
import { type RawEntry, scanHeader } from "./header-scanner.ts";
import { byteSizes, printable } from "./printable.ts";
import { sniff } from "./sniff.ts";

/** A tensor in a file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: FileDType;
  readonly shape: readonly number[];
  /** First byte in the file, and one past the last (absolute, not relative to the data). */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsOptions {
  /** Longest header accepted, bytes: 25,000,000 unless said, at most the format's own 100,000,000. */
  readonly maxHeader?: number;
}

/** A checked safetensors file: what it holds, and where. */
export interface SafetensorsFile {
  readonly source: ByteSource;
  readonly metadata: ReadonlyMap<string, string>;
  /** By name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly headerBytes: number;
}

export const defaultMaxHeader = 25_000_000;
const formatMaxHeader = 100_000_000;
const lengthBytes = 8;
const again = "download it again";

/**
 * Reads and checks the header of a file.
 * @throws ModelFileError ST_TOO_SMALL, ST_HEADER_TOO_LARGE, ST_HEADER_LENGTH, ST_HEADER_UTF8, ST_OFFSETS, ST_SHAPE, ST_DTYPE,
 *   ST_TRUNCATED, ST_TRAILING, those of the scanner, and NOT_SAFETENSORS for a file that is plainly something else.
 */
export async function openSafetensors(source: ByteSource, options: SafetensorsOptions = {}): Promise<SafetensorsFile> {
  const start = await source.read(0, Math.min(source.size, 64));
  try {
    return await readHeader(source, start, Math.min(options.maxHeader ?? defaultMaxHeader, formatMaxHeader));
  } catch (error) {
    // Only where the header is wrong: a proper header length may look like the magic number of something else.
    const foreign = error instanceof ModelFileError && error.code.startsWith("ST_HEADER") ? sniff(start) : undefined;
    if (foreign === undefined) throw error;
    throw new ModelFileError("NOT_SAFETENSORS", `${source.name}: this is ${foreign.what}, not a safetensors file`, {
      hint: foreign.hint,
      context: { file: source.name, found: foreign.what },
    });
  }
}

async function readHeader(source: ByteSource, start: Uint8Array, maxHeader: number): Promise<SafetensorsFile> {
  const fail = (code: string, fact: string, hint: string, context: Record<string, unknown> = {}): never => {
    throw new ModelFileError(code, `${source.name}: ${fact}`, { hint, context: { file: source.name, ...context } });
  };
  if (source.size < lengthBytes) {
    fail("ST_TOO_SMALL", `${source.size} bytes is too short for a safetensors file (at least ${lengthBytes})`, again);
  }
  // Compared as a BigInt: the length has 64 bits, and Number() would round the largest.
  const declared = new DataView(start.buffer, start.byteOffset, lengthBytes).getBigUint64(0, true);
  if (declared > BigInt(maxHeader)) {
    const hint = declared <= BigInt(formatMaxHeader) ? `if you trust the file, allow it with --max-header ${declared}` : again;
    fail("ST_HEADER_TOO_LARGE", `header of ${declared} bytes, the limit is ${maxHeader}`, hint, { headerBytes: `${declared}` });
  }
  const headerBytes = Number(declared);
  const dataStart = lengthBytes + headerBytes;
  if (dataStart > source.size) {
    const fact = `header of ${headerBytes} bytes, but only ${source.size - lengthBytes} bytes follow`;
    fail("ST_HEADER_LENGTH", fact, `the file is cut short or no safetensors file: ${again}`, { headerBytes });
  }
  const header = scanHeader(decodeUtf8(await source.read(lengthBytes, dataStart), source.name), source.name);
  const tensors = new Map<string, TensorEntry>();
  for (const entry of header.entries.values()) tensors.set(entry.name, checkEntry(entry, dataStart, source.name));
  checkLayout([...tensors.values()], dataStart, source);
  return { source, metadata: header.metadata, tensors, headerBytes };
}

function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const byte = lengthBytes + validPrefix(bytes);
    throw new ModelFileError("ST_HEADER_UTF8", `${file}: header, byte ${byte}: not UTF-8`, {
      hint: `the file is damaged or no safetensors file: ${again}`,
      context: { file, byte },
    });
  }
}

/** Length of the longest valid start, to a kilobyte by streaming, then to the byte. */
function validPrefix(bytes: Uint8Array): number {
  const step = 1024;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let at = 0; at < bytes.length; at += step) {
    try {
      decoder.decode(bytes.subarray(at, at + step), { stream: true });
    } catch {
      // Up to 3 bytes of the character before may be pending in the decoder.
      return at + bytesUntilError(bytes, at, Math.min(at + step, bytes.length));
    }
  }
  return bytes.length;
}

function bytesUntilError(bytes: Uint8Array, begin: number, end: number): number {
  let start = begin;
  while (start > 0 && begin - start < 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start--;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let at = start; at < end; at++) {
    try {
      decoder.decode(bytes.subarray(at, at + 1), { stream: true });
    } catch {
      return at - begin;
    }
  }
  return end - begin;
}

/** dtype known, offsets in order, size = shape x dtype with no overflow on the way. */
function checkEntry(raw: RawEntry, dataStart: number, file: string): TensorEntry {
  const fail = (code: string, fact: string): never => {
    const name = printable(raw.name);
    throw new ModelFileError(code, `${file}: tensor "${name}": ${fact}`, {
      hint: `the file is damaged or was written by a faulty program: ${again}`,
      context: { file, tensor: name },
    });
  };
  const { name, shape, begin, end } = raw;
  const dtype = isFileDType(raw.dtype)
    ? raw.dtype
    : fail("ST_DTYPE", `unknown dtype "${printable(raw.dtype, 40)}", known are ${knownDTypes.join(", ")}`);
  if (end < begin) fail("ST_OFFSETS", `data_offsets end before they begin: ${begin}..${end}`);
  let elements = 1;
  for (const size of shape) elements = multiply(elements, size) ?? fail("ST_SHAPE", `shape [${shape}] has too many elements`);
  const size = multiply(elements, bitsOf(dtype)) ?? fail("ST_SHAPE", `shape [${shape}] of ${dtype} has too many bytes`);
  if (size % 8 !== 0) fail("ST_SHAPE", `shape [${shape}] of ${dtype} is ${size} bits, not whole bytes`);
  if (end - begin !== size / 8) {
    fail("ST_SHAPE", `shape [${shape}] of ${dtype} takes ${size / 8} bytes, its data_offsets ${end - begin}`);
  }
  return { name, dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

/** a * b, or undefined above 2^53 - 1. */
function multiply(a: number, b: number): number | undefined {
  const product = a * b;
  return Number.isSafeInteger(product) ? product : undefined;
}

/** The data is covered from its first byte to the file's last: no hole, no overlap, nothing before or after. */
function checkLayout(tensors: TensorEntry[], dataStart: number, source: ByteSource): void {
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = dataStart;
  for (const tensor of tensors) {
    if (tensor.begin !== end) {
      const what = tensor.begin < end ? "overlaps the tensor before it" : "leaves a hole before it";
      const name = printable(tensor.name);
      const fact = `begins at ${tensor.begin - dataStart}, the data before it ends at ${end - dataStart}`;
      throw new ModelFileError("ST_OFFSETS", `${source.name}: tensor "${name}" ${what}: ${fact}`, {
        hint: `the file is damaged or was written by a faulty program: ${again}`,
        context: { file: source.name, tensor: name },
      });
    }
    end = tensor.end;
  }
  if (end > source.size) {
    const [have, need] = byteSizes(source.size, end);
    throw new ModelFileError("ST_TRUNCATED", `${source.name}: file is ${have} of ${need}`, {
      hint: `the download broke off: ${again}`,
      context: { file: source.name, bytes: source.size, expected: end },
    });
  }
  if (end < source.size) {
    const fact = `${source.size - end} bytes after the last tensor, which ends at byte ${end}`;
    throw new ModelFileError("ST_TRAILING", `${source.name}: ${fact}`, {
      hint: `the file is damaged or two files were joined: ${again}`,
      context: { file: source.name, bytes: source.size, expected: end },
    });
  }
}
