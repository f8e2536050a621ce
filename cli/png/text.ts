/**
 * @file Text in a PNG. pngjs writes none, so this is ours. As Pillow does it, which A1111 and its kin use: tEXt where the text is
 * Latin-1, else iTXt, which is UTF-8.
 */
import { inflateSync } from "node:zlib";
import { type Chunk, writeChunk } from "./chunks.ts";

/** Longest text that is read, bytes: a chunk may inflate to anything. */
const longestText = 1 << 20;

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

/** Every text in the chunks, the first of a keyword. Texts over 1 MiB and those that don't decode are passed over. */
export function readTexts(chunks: readonly Chunk[]): Map<string, string> {
  const texts = new Map<string, string>();
  for (const chunk of chunks) {
    const entry = readText(chunk);
    if (entry && !texts.has(entry[0])) texts.set(...entry);
  }
  return texts;
}

function readText({ type, data }: Chunk): [keyword: string, text: string] | undefined {
  const end = data.indexOf(0);
  if (end < 1 || end > 79 || data.length > longestText) return undefined;
  const keyword = data.toString("latin1", 0, end);
  const rest = data.subarray(end + 1);
  if (type === "tEXt") return [keyword, rest.toString("latin1")];
  if (type === "zTXt") return decode(keyword, "latin1", true, rest.subarray(1));
  if (type !== "iTXt") return undefined;
  const language = rest.indexOf(0, 2);
  const translated = language < 0 ? -1 : rest.indexOf(0, language + 1);
  if (translated < 0) return undefined;
  return decode(keyword, "utf8", rest[0] === 1, rest.subarray(translated + 1));
}

function decode(keyword: string, encoding: "latin1" | "utf8", packed: boolean, data: Buffer): [string, string] | undefined {
  try {
    return [keyword, (packed ? inflateSync(data, { maxOutputLength: longestText }) : data).toString(encoding)];
  } catch {
    return undefined;
  }
}
