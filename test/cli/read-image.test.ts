/** @file Input pictures: what limn takes, what it says of the rest (rows 49 to 56 of the fault catalogue). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { parseColor } from "../../cli/image/color.ts";
import { kindOf } from "../../cli/image/kind.ts";
import { readImage } from "../../cli/image/read-image.ts";
import { signature, writeChunk } from "../../cli/png/chunks.ts";
import { encodePng } from "../../cli/png/png.ts";
import type { LimnError } from "../../engine/errors.ts";
import { temporaryFolder } from "./limn.ts";

const folder = temporaryFolder();
let files = 0;

async function read(bytes: Uint8Array, name = "picture.png") {
  const path = join(folder, `${files++}-${name}`);
  writeFileSync(path, bytes);
  const notes: string[] = [];
  const raster = await readImage(path, { background: [255, 255, 255], note: (text) => notes.push(text) });
  return { raster, notes };
}

async function codeOf(bytes: Uint8Array, name?: string): Promise<string> {
  return read(bytes, name).then(
    () => "read",
    (error: LimnError) => {
      expect(error.hint?.length).toBeGreaterThan(5);
      return error.code;
    },
  );
}

/** A PNG of one row with these bytes of pixels. */
function png(
  [width, depth, color]: readonly [width: number, depth: number, color: number],
  row: readonly number[],
  ...others: readonly [type: string, data: readonly number[]][]
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(1, 4);
  header.set([depth, color], 8);
  const pixels = deflateSync(Buffer.from([0, ...row]));
  const chunks = others.map(([type, data]) => writeChunk(type, Buffer.from(data)));
  return Buffer.concat([
    signature,
    writeChunk("IHDR", header),
    ...chunks,
    writeChunk("IDAT", pixels),
    writeChunk("IEND", Buffer.alloc(0)),
  ]);
}

describe("PNG of every kind (row 51)", () => {
  it.each([
    ["grey, 8 bits", png([2, 8, 0], [10, 200]), [10, 10, 10, 200, 200, 200]],
    ["grey, 1 bit", png([2, 1, 0], [0b01000000]), [0, 0, 0, 255, 255, 255]],
    ["grey, 16 bits", png([1, 16, 0], [0x80, 0x80]), [128, 128, 128]],
    ["colour, 16 bits", png([1, 16, 2], [255, 255, 0, 0, 0x40, 0x40]), [255, 0, 64]],
    ["palette of 2", png([2, 1, 3], [0b10000000], ["PLTE", [1, 2, 3, 4, 5, 6]]), [4, 5, 6, 1, 2, 3]],
    ["grey with alpha", png([2, 8, 4], [0, 255, 0, 0]), [0, 0, 0, 255, 255, 255]],
    ["colour with alpha", png([1, 8, 6], [200, 100, 0, 51]), [244, 224, 204]],
    ["a transparent colour", png([2, 8, 2], [9, 9, 9, 1, 2, 3], ["tRNS", [0, 9, 0, 9, 0, 9]]), [255, 255, 255, 1, 2, 3]],
    ["a palette with alpha", png([1, 8, 3], [0], ["PLTE", [0, 0, 0]], ["tRNS", [0]]), [255, 255, 255]],
  ])("%s", async (_, bytes, expected) => {
    expect([...(await read(bytes)).raster.data]).toEqual(expected);
  });

  it("notes that alpha is laid over the background, and that an animation has one picture here", async () => {
    expect((await read(png([1, 8, 4], [0, 128]))).notes.join()).toMatch(
      /transparent in places: they become rgb\(255, 255, 255\)/,
    );
    expect((await read(png([1, 8, 0], [7]))).notes).toEqual([]);
    expect((await read(png([1, 8, 0], [7], ["acTL", [0, 0, 0, 2, 0, 0, 0, 0]]))).notes.join()).toContain("animated");
  });
});

describe("palettes that are wrong (row 52)", () => {
  it.each([
    ["an index out of range", png([1, 8, 3], [5], ["PLTE", [1, 2, 3]])],
    ["none", png([1, 8, 3], [0])],
    ["empty", png([1, 8, 3], [0], ["PLTE", []])],
    ["257 entries", png([1, 8, 3], [0], ["PLTE", Array<number>(257 * 3).fill(1)])],
    ["half an entry", png([1, 8, 3], [0], ["PLTE", [1, 2, 3, 4]])],
    ["more alphas than colours", png([1, 8, 3], [0], ["PLTE", [1, 2, 3]], ["tRNS", [1, 2, 3]])],
  ])("%s", async (_, bytes) => {
    expect(await codeOf(bytes)).toMatch(/^PNG_/);
  });
});

describe("other files (rows 54, 55)", () => {
  const text = (content: string) => Buffer.from(content, "latin1");
  const box = (brand: string) => Buffer.concat([Buffer.from([0, 0, 0, 24]), text(`ftyp${brand}0000`)]);

  it.each([
    ["JPEG", text("\xff\xd8\xff\xe0JFIF")],
    ["WebP", text("RIFF0000WEBPVP8 ")],
    ["GIF", text("GIF89a")],
    ["AVIF", box("avif")],
    ["HEIC", box("heic")],
  ])("%s is known by its content, whatever its name", async (name, bytes) => {
    expect(kindOf(bytes)?.name).toBe(name);
    // Without sharp it is said what to install; with it, that these few bytes are no picture.
    expect(await codeOf(bytes, "photo.png")).toMatch(/^IMAGE_(DECODER|PIXELS)$/);
  });

  it.each([
    ["an empty file", text("")],
    ["TIFF", text("II*\0....")],
    ["PDF", text("%PDF-1.7")],
    ["SVG", text('<?xml version="1.0"?>\n<svg xmlns="..."/>')],
    ["text", text("a red fox")],
  ])("%s is refused", async (_, bytes) => {
    expect(await codeOf(bytes)).toBe("IMAGE_KIND");
  });

  it("a PNG under another name is a PNG; a file that is not there is a matter of the file system", async () => {
    const bytes = encodePng({ width: 1, height: 1, data: Uint8Array.from([1, 2, 3]) });
    expect([...(await read(bytes, "photo.jpg")).raster.data]).toEqual([1, 2, 3]);
    const missing = readImage(join(folder, "none.png"), { background: [0, 0, 0], note: () => {} });
    await expect(missing).rejects.toMatchObject({ code: "FS_NOT_FOUND" });
  });
});

it("reads colours", () => {
  expect([parseColor("white"), parseColor("#10ff00"), parseColor("0a0B0c")]).toEqual([
    [255, 255, 255],
    [16, 255, 0],
    [10, 11, 12],
  ]);
  expect(() => parseColor("whitish")).toThrow(/"whitish" is no colour/);
});
