/** @file The texts in a picture's file, by keyword, whatever kind of file it is. The pixels are left alone. */

import { ImageError } from "../../engine/errors.ts";
import { kindOf } from "../image/kind.ts";
import { wholeFile } from "../image/read-image.ts";
import { readChunks } from "../png/chunks.ts";
import { longestText, readTexts } from "../png/text.ts";
import { jpegTexts, webpTexts } from "./exif.ts";

export interface PictureTexts {
  /** "PNG", "JPEG", "WebP". */
  readonly kind: string;
  readonly texts: ReadonlyMap<string, string>;
  /** What there is and was not read. */
  readonly skipped: readonly string[];
}

/** @throws FileSystemError those of `openFile`; ImageError IMAGE_KIND, IMAGE_SIZE, and those of `readChunks` */
export async function readPictureTexts(path: string): Promise<PictureTexts> {
  const bytes = await wholeFile(path);
  const kind = kindOf(bytes)?.name ?? "";
  if (kind === "PNG") return { kind, ...readTexts(readChunks(bytes)) };
  if (kind === "JPEG") return limited(kind, jpegTexts(bytes));
  if (kind === "WebP") return limited(kind, webpTexts(bytes));
  throw new ImageError(
    "IMAGE_KIND",
    `${path}: ${bytes.length === 0 ? "the file is empty" : `this is ${kind || "no picture that limn knows"}`}`,
    {
      hint: "metadata is read from PNG, JPEG and WebP",
      context: { path, bytes: bytes.length },
    },
  );
}

function limited(kind: string, texts: ReadonlyMap<string, string>): PictureTexts {
  const isLong = ([, text]: readonly [string, string]) => text.length > longestText;
  const skipped = [...texts].filter(isLong).map(([keyword]) => `${keyword}: more than ${longestText} bytes`);
  return { kind, texts: new Map([...texts].filter((entry) => !isLong(entry))), skipped };
}
