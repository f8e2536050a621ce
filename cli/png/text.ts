/**
 * @file Text in a PNG. pngjs writes none, so this is ours. As Pillow does it, which A1111 and its kin use: tEXt where the text is
 * Latin-1, else iTXt, which is UTF-8.
 */
import { inflateSync } from "node:zlib";
import { type Chunk, writeChunk } from "./chunks.ts";

/** Longest text that is read, bytes: a chunk may inflate to anything. */
export const longestText = 1 << 20;
/** Bytes; the format's own limit. */
const longestKeyword = 79;

/** The chunk for `keyword: text`. NULs are left out: they would end a tEXt early. */
export function writeText(keyword: string, text: string): Buffer {
  const clean = text.replaceAll("\0", "");
  if (isLatin1(clean)) return writeChunk("tEXt", Buffer.from(`${keyword}\0${clean}`, "latin1"));
  // keyword NUL, not compressed, method 0, no language NUL, no translated keyword NUL, text
  return writeChunk("iTXt", Buffer.from(`${keyword}\0\0\0\0\0${clean}`, "utf8"));
}

function isLatin1(text: string): boolean {
  return [...text].every((character) => character <= "\u00ff");
}

export interface Texts {
  /** The first text of a keyword. */
  readonly texts: Map<string, string>;
  /** What was not read: "workflow: more than 1048576 bytes". */
  readonly skipped: string[];
}

/** Every text in the chunks. Those over 1 MiB and those that don't decode are passed over. */
export function readTexts(chunks: readonly Chunk[]): Texts {
  const texts = new Map<string, string>();
  const skipped: string[] = [];
  for (const chunk of chunks.filter(({ type }) => type === "tEXt" || type === "zTXt" || type === "iTXt")) {
    const end = chunk.data.subarray(0, longestKeyword + 1).indexOf(0);
    const keyword = chunk.data.toString("latin1", 0, Math.max(end, 0));
    const text = end < 1 ? undefined : readText(chunk, chunk.data.subarray(end + 1));
    if (text === undefined) skipped.push(`${keyword || chunk.type}: more than ${longestText} bytes, or damaged`);
    else if (!texts.has(keyword)) texts.set(keyword, text);
  }
  return { texts, skipped };
}

function readText({ type, data }: Chunk, rest: Buffer): string | undefined {
  if (data.length > longestText) return undefined;
  if (type === "tEXt") return rest.toString("latin1");
  if (type === "zTXt") return decode("latin1", true, rest.subarray(1));
  const language = rest.indexOf(0, 2);
  const translated = language < 0 ? -1 : rest.indexOf(0, language + 1);
  if (translated < 0) return undefined;
  return decode("utf8", rest[0] === 1, rest.subarray(translated + 1));
}

function decode(encoding: "latin1" | "utf8", packed: boolean, data: Buffer): string | undefined {
  try {
    return (packed ? inflateSync(data, { maxOutputLength: longestText }) : data).toString(encoding);
  } catch {
    return undefined;
  }
}
