/**
 * @file PNG in and out. pngjs does the pixels; it has no limits of its own, so every file is checked before it gets it: sides,
 * number of pixels, chunks, and how far the pixel data may inflate.
 */

import { inflateSync } from "node:zlib";
import { PNG } from "pngjs";
import { ImageError } from "../../engine/errors.ts";
import { type Chunk, readChunks, signature, writeChunk } from "./chunks.ts";
import { readTexts, writeText } from "./text.ts";

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Rows from the top, 3 bytes (RGB) or 4 (RGBA) a pixel. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

export const maxPngSide = 16_384;
export const maxPngPixels = 64 << 20;

/** A PNG of 8 bits a channel, with texts by keyword. Pictures of 4 bytes a pixel keep their alpha. */
export function encodePng(picture: Picture, texts: Readonly<Record<string, string>> = {}): Buffer {
  const { width, height, data } = picture;
  const channels = data.length / (width * height);
  if (channels !== 3 && channels !== 4)
    throw new RangeError(`encodePng: ${data.length} bytes are not ${width} x ${height} pixels of 3 or 4`);
  const alpha = channels === 4;
  const file = PNG.sync.write({ width, height, data: Buffer.from(data.buffer, data.byteOffset, data.length) } as PNG, {
    colorType: alpha ? 6 : 2,
    inputColorType: alpha ? 6 : 2,
    inputHasAlpha: alpha,
    deflateLevel: 6,
  });
  const header = signature.length + 12 + 13;
  const chunks = Object.entries(texts).map(([keyword, text]) => writeText(keyword, text));
  return Buffer.concat([file.subarray(0, header), ...chunks, file.subarray(header)]);
}

export interface DecodedPng extends Picture {
  /** RGBA. */
  readonly data: Uint8Array;
  readonly texts: ReadonlyMap<string, string>;
}

/**
 * Decodes to RGBA, 8 bits a channel.
 * @throws ImageError those of `readChunks`, and PNG_SIZE, PNG_FORMAT, PNG_PIXELS
 */
export function decodePng(bytes: Buffer): DecodedPng {
  const chunks = readChunks(bytes);
  checkHeader(chunks[0]!);
  checkPalette(chunks);
  checkPixels(chunks);
  // Only what the pixels need: colour profiles and texts may inflate to anything.
  const needed = chunks.filter(({ type }) => ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"].includes(type));
  const plain = Buffer.concat([signature, ...needed.map(({ type, data }) => writeChunk(type, data))]);
  try {
    const { width, height, data } = PNG.sync.read(plain);
    return { width, height, data, texts: readTexts(chunks).texts };
  } catch (error) {
    throw new ImageError("PNG_PIXELS", `PNG: the pixels can't be decoded (${error instanceof Error ? error.message : error})`, {
      hint: "the file is damaged: get it again, or open it elsewhere and save it as PNG",
      cause: error,
    });
  }
}

/** The texts of a PNG, its pixels left alone. @throws ImageError those of `readChunks` */
export function readPngTexts(bytes: Buffer): ReadonlyMap<string, string> {
  return readTexts(readChunks(bytes)).texts;
}

const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const depthsOf: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

interface Header {
  readonly width: number;
  readonly height: number;
  readonly bitsPerPixel: number;
  readonly interlaced: boolean;
}

function readHeader({ data }: Chunk): Header {
  return {
    width: data.readUInt32BE(0),
    height: data.readUInt32BE(4),
    bitsPerPixel: data[8]! * (channelsOf[data[9]!] ?? 0),
    interlaced: data[12] === 1,
  };
}

function checkHeader(chunk: Chunk): void {
  const { width, height } = readHeader(chunk);
  const [depth, color, compression, filter, interlace] = chunk.data.subarray(8);
  if (width < 1 || height < 1 || width > maxPngSide || height > maxPngSide || width * height > maxPngPixels) {
    throw new ImageError(
      "PNG_SIZE",
      `PNG: ${width} x ${height} pixels; limn takes 1 to ${maxPngSide} a side and ${maxPngPixels} in all`,
      {
        hint: "make it smaller first",
        context: { width, height },
      },
    );
  }
  if (!depthsOf[color!]?.includes(depth!) || compression !== 0 || filter !== 0 || interlace! > 1) {
    throw new ImageError(
      "PNG_FORMAT",
      `PNG: IHDR holds an unknown format (depth ${depth}, colour ${color}, ${compression}, ${filter}, ${interlace})`,
      {
        hint: "save it as an ordinary 8-bit PNG",
      },
    );
  }
}

/** pngjs takes a palette of any length. */
function checkPalette(chunks: readonly Chunk[]): void {
  const palette = chunks.find(({ type }) => type === "PLTE");
  const entries = (palette?.data.length ?? 0) / 3;
  if (chunks[0]!.data[9] !== 3 || (Number.isInteger(entries) && entries >= 1 && entries <= 256)) return;
  throw new ImageError(
    "PNG_FORMAT",
    `PNG: the palette (PLTE) has ${palette?.data.length ?? 0} bytes, not 3 for each of 1 to 256 colours`,
    {
      hint: "save it as an ordinary 8-bit PNG",
      context: { offset: palette?.offset },
    },
  );
}

/** Inflates the pixel data once with a hard limit: a file of 200 bytes may claim to hold gigabytes. */
function checkPixels(chunks: readonly Chunk[]): void {
  const { width, height, bitsPerPixel, interlaced } = readHeader(chunks[0]!);
  const row = Math.ceil((width * bitsPerPixel) / 8) + 1;
  // Adam7's seven passes have rows of their own, each with a filter byte and a rounded end: twice the rows bound it.
  const expected = row * height + (interlaced ? 2 * height * (1 + 1) + row : 0);
  const packed = Buffer.concat(chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data));
  try {
    const found = inflateSync(packed, { maxOutputLength: expected + 1 }).length;
    if (interlaced ? found <= expected : found === expected) return;
    throw new RangeError(`${found} bytes of pixels where ${expected} belong`);
  } catch (error) {
    throw new ImageError("PNG_PIXELS", `PNG: the pixel data is wrong (${error instanceof Error ? error.message : error})`, {
      hint: "the file is damaged: get it again, or open it elsewhere and save it as PNG",
      context: { expected },
      cause: error,
    });
  }
}
