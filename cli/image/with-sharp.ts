/**
 * @file Pictures other than PNG, decoded by sharp where the user has installed it: it is no dependency of ours, as its native library
 * is larger than all of limn.
 */
import { ImageError } from "../../engine/errors.ts";
import type { Raster } from "../../model/image/index.ts";
import { maxPngPixels, maxPngSide } from "../png/png.ts";

/** The part of sharp's interface that is used. */
interface Sharp {
  rotate(): Sharp;
  toColourspace(space: string): Sharp;
  ensureAlpha(): Sharp;
  raw(): Sharp;
  metadata(): Promise<{ readonly width?: number; readonly height?: number }>;
  toBuffer(options: { resolveWithObject: true }): Promise<{ data: Buffer; info: { width: number; height: number } }>;
}
type MakeSharp = (bytes: Buffer, options: { limitInputPixels: number; failOn: string }) => Sharp;

/** RGBA; turned as its EXIF orientation says. @throws ImageError IMAGE_DECODER, IMAGE_SIZE, IMAGE_PIXELS */
export async function decodeWithSharp(bytes: Buffer, kind: string, path: string): Promise<Raster> {
  const sharp = await findSharp(kind, path);
  const options = { limitInputPixels: maxPngPixels, failOn: "error" };
  try {
    const { width = 0, height = 0 } = await sharp(bytes, options).metadata();
    if (width > maxPngSide || height > maxPngSide || width * height > maxPngPixels) throw tooLarge(path, width, height);
    const { data, info } = await sharp(bytes, options)
      .rotate()
      .toColourspace("srgb")
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, channels: 4, data: new Uint8Array(data) };
  } catch (cause) {
    if (cause instanceof ImageError) throw cause;
    throw new ImageError(
      "IMAGE_PIXELS",
      `${path}: the ${kind} can't be decoded (${cause instanceof Error ? cause.message : cause})`,
      {
        hint: "the file may be damaged: open it elsewhere and save it as PNG",
        context: { path },
        cause,
      },
    );
  }
}

function tooLarge(path: string, width: number, height: number): ImageError {
  return new ImageError(
    "IMAGE_SIZE",
    `${path}: ${width} x ${height} pixels; limn takes up to ${maxPngSide} a side and ${maxPngPixels} in all`,
    { hint: "make it smaller first", context: { width, height } },
  );
}

async function findSharp(kind: string, path: string): Promise<MakeSharp> {
  // Not a literal: it is not there when limn is compiled.
  const name = "sharp";
  try {
    return ((await import(name)) as { default: MakeSharp }).default;
  } catch (cause) {
    throw new ImageError(
      "IMAGE_DECODER",
      `${path} is ${kind}, which limn reads with the package sharp, and that is not installed`,
      {
        hint: "npm install sharp, or convert the picture to PNG",
        context: { path, kind },
        cause,
      },
    );
  }
}
