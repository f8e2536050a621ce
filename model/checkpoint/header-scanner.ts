/**
 * @file The JSON of a safetensors header, scanned by hand. `JSON.parse` keeps the last of two equal keys, rounds large
 * integers, takes `1.0` for 1 and nests without end; a header may do none of these. One pass, linear in its length.
 */
import { JsonScanner } from "./json-scanner.ts";
import { printable } from "./printable.ts";

/** One entry as written, not yet checked against its neighbours and the file. */
export interface RawEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** data_offsets: bytes from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

export interface RawHeader {
  readonly metadata: Map<string, string>;
  readonly entries: Map<string, RawEntry>;
}

export const maxTensors = 65_536;
const maxRank = 64;

/**
 * Scans the text of a header.
 * @param file name for messages
 * @throws ModelFileError ST_HEADER_JSON, ST_DUPLICATE, ST_DTYPE, ST_SHAPE, ST_OFFSETS, ST_TOO_MANY_TENSORS, ST_DEPTH
 */
export function scanHeader(text: string, file: string): RawHeader {
  const json: JsonScanner = new JsonScanner(text, file);
  const entries = new Map<string, RawEntry>();
  const found: { metadata?: Map<string, string> } = {};
  json.object(1, (key) => {
    if (key === "__metadata__") {
      if (found.metadata !== undefined) json.duplicate(key);
      found.metadata = scanMetadata(json);
      return;
    }
    if (entries.has(key)) json.duplicate(key);
    if (entries.size === maxTensors) json.fail("ST_TOO_MANY_TENSORS", `more than ${maxTensors} tensors`);
    entries.set(key, scanEntry(json, key));
  });
  json.end();
  return { metadata: found.metadata ?? new Map(), entries };
}

/** Strings by name, or null. */
function scanMetadata(json: JsonScanner): Map<string, string> {
  const metadata = new Map<string, string>();
  if (json.literal("null")) return metadata;
  json.object(2, (key) => {
    if (metadata.has(key)) json.duplicate(key);
    if (json.peek() !== '"') json.fail("ST_HEADER_JSON", `metadata "${printable(key)}" is not a string`);
    metadata.set(key, json.string());
  });
  return metadata;
}

function scanEntry(json: JsonScanner, name: string): RawEntry {
  const found: { dtype?: string; shape?: number[]; offsets?: number[] } = {};
  const label = (): string => `tensor "${printable(name)}"`;
  json.object(2, (key) => {
    if (key === "dtype") {
      if (found.dtype !== undefined) json.duplicate(key);
      if (json.peek() !== '"') json.fail("ST_DTYPE", `${label()}: dtype is not a string`);
      found.dtype = json.string();
    } else if (key === "shape") {
      if (found.shape !== undefined) json.duplicate(key);
      found.shape = json.integers("ST_SHAPE", () => `${label()}: shape`, maxRank);
    } else if (key === "data_offsets") {
      if (found.offsets !== undefined) json.duplicate(key);
      found.offsets = json.integers("ST_OFFSETS", () => `${label()}: data_offsets`, 2);
    } else {
      json.skip(3);
    }
  });
  const { dtype, shape, offsets } = found;
  if (dtype === undefined) json.fail("ST_DTYPE", `${label()} has no dtype`);
  if (shape === undefined) json.fail("ST_SHAPE", `${label()} has no shape`);
  const [begin, end] = offsets ?? [];
  if (begin === undefined || end === undefined) json.fail("ST_OFFSETS", `${label()} needs two data_offsets`);
  return { name, dtype, shape, begin, end };
}
