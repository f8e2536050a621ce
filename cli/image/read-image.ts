/** @file A picture from a file, whatever its kind, as opaque RGB. */
import { ImageError } from "../../engine/errors.ts";
import type { Raster } from "../../model/image/index.ts";
import { openFile } from "../files/file-source.ts";
import { readChunks } from "../png/chunks.ts";
import { decodePng } from "../png/png.ts";
import type { Color } from "./color.ts";
import { kindOf } from "./kind.ts";
import { decodeWithSharp } from "./with-sharp.ts";

/** No picture of 64 megapixels is larger than this, whatever its kind. */
const mostBytes = 1 << 29;

/** @throws FileSystemError those of `openFile`; ImageError IMAGE_KIND, IMAGE_SIZE, and those of its decoder */
export async function readImage(
  path: string,
  { background, note }: { background: Color; note(text: string): void },
): Promise<Raster> {
  const bytes = await wholeFile(path);
  const kind = kindOf(bytes);
  if (kind === undefined || kind.reader === "other") {
    const what = bytes.length === 0 ? "the file is empty" : kind ? `this is ${kind.name}` : "this is no picture that limn knows";
    throw new ImageError("IMAGE_KIND", `${path}: ${what}`, {
      hint: "give a PNG, or with the package sharp installed a JPEG, WebP, GIF or AVIF",
      context: { path, bytes: bytes.length },
    });
  }
  const picture = kind.reader === "png" ? fromPng(bytes, path, note) : await decodeWithSharp(bytes, kind.name, path);
  return overBackground(picture, background, () =>
    note(`${path} is transparent in places: they become rgb(${background.join(", ")})`),
  );
}

function fromPng(bytes: Buffer, path: string, note: (text: string) => void): Raster {
  const { width, height, data } = decodePng(bytes);
  if (readChunks(bytes).some(({ type }) => type === "acTL")) note(`${path} is animated: its first picture is taken`);
  return { width, height, channels: 4, data };
}

/** All bytes of a picture's file. @throws FileSystemError those of `openFile`; ImageError IMAGE_SIZE */
export async function wholeFile(path: string): Promise<Buffer> {
  const source = await openFile(path);
  try {
    if (source.size > mostBytes) {
      throw new ImageError("IMAGE_SIZE", `${path}: ${source.size} bytes are more than the ${mostBytes} that limn reads`, {
        hint: "make it smaller first",
        context: { path, bytes: source.size },
      });
    }
    return Buffer.from(await source.read(0, source.size));
  } finally {
    await source.close();
  }
}

/** RGBA -> RGB; `transparent` is called if anything showed through. */
function overBackground({ width, height, data }: Raster, background: Color, transparent: () => void): Raster {
  const rgb = new Uint8Array(3 * width * height);
  let through = false;
  for (let p = 0; p < width * height; p++) {
    const alpha = data[4 * p + 3]!;
    if (alpha < 255) through = true;
    for (let c = 0; c < 3; c++) rgb[3 * p + c] = Math.round((data[4 * p + c]! * alpha + background[c]! * (255 - alpha)) / 255);
  }
  if (through) transparent();
  return { width, height, channels: 3, data: rgb };
}
