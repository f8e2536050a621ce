/**
 * @file Textual inversions that AUTOMATIC1111's web UI hides in pictures (modules/textual_inversion/image_embedding.py): JSON, either as text in
 * the file or packed into the low halves of pixels.
 */
import { ModelFileError } from "../../engine/errors.ts";
import type { Raster } from "../image/index.ts";
import { type Table, type TextualInversion, textualInversion } from "./textual-inversion.ts";

/** Keyword of the text, which is JSON in base64. */
export const embeddingKeyword = "sd-ti-embedding";

/**
 * What is packed into the pixels, deflated JSON with zeros or repetitions behind it; undefined where there can't be anything. Left and right of
 * the picture, each set off by a black column, stand the low and the high halves of the bytes, disguised by the same pseudo-random numbers.
 */
export function packedBytes(picture: Raster): Uint8Array | undefined {
  const inner = withoutBlackBorder(picture);
  const isBlank = (x: number): boolean => {
    for (let y = inner.top; y < inner.bottom; y++)
      for (let c = 0; c < 3; c++) if ((value(picture, x, y, c) & 15) !== 0) return false;
    return true;
  };
  const columns = Array.from({ length: inner.right - inner.left }, (_, i) => inner.left + i);
  const [first, last] = [columns.find(isBlank), columns.findLast(isBlank)];
  if (first === undefined || last === undefined || first === last) return undefined;
  const width = Math.min(first - inner.left, inner.right - last - 1);
  if (width === 0 || first - inner.left !== inner.right - last - 1) return undefined;
  const bytes = new Uint8Array((inner.bottom - inner.top) * width * 3);
  let [at, seed] = [0, 0];
  for (let y = inner.top; y < inner.bottom; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        const mask = (seed % 255) & 15;
        const low = (value(picture, inner.left + x, y, c) & 15) ^ mask;
        const high = (value(picture, last + 1 + x, y, c) & 15) ^ mask;
        bytes[at++] = (high << 4) | low;
      }
    }
  }
  return bytes;
}

function value({ width, channels, data }: Raster, x: number, y: number, c: number): number {
  return data[(y * width + x) * channels + c]!;
}

/** From the first to the last row and column with a pixel whose channels are all above zero. */
function withoutBlackBorder(picture: Raster): { left: number; right: number; top: number; bottom: number } {
  const box = { left: picture.width, right: 0, top: picture.height, bottom: 0 };
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0; x < picture.width; x++) {
      if (![0, 1, 2].every((c) => value(picture, x, y, c) > 0)) continue;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
      box.top = Math.min(box.top, y);
      box.bottom = y + 1;
    }
  }
  return box;
}

/** @throws ModelFileError NOT_AN_EMBEDDING, EMBEDDING_SHAPE, CHECKPOINT_NONFINITE */
export function embeddingOfJson(
  file: string,
  json: string,
  made: Pick<TextualInversion, "name" | "hash" | "id">,
): TextualInversion {
  const tables = tablesOf(parse(json));
  if (tables.length > 0) return textualInversion(file, { ...made, tables });
  throw new ModelFileError("NOT_AN_EMBEDDING", `${file}: what the picture holds is no textual inversion`, {
    hint: "get the picture itself again: copies that were scaled or saved as JPEG lose it",
    context: { file },
  });
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return undefined;
  }
}

/** {"string_to_param": {"*": {"TORCHTENSOR": [[...], ...]}}}, or SDXL's two. */
function tablesOf(content: unknown): Table[] {
  const both = ["clip_l", "clip_g"].flatMap((key) => field(content, key) ?? []);
  const params = field(content, "string_to_param");
  const tensors = both.length > 0 ? both : typeof params === "object" && params ? Object.values(params).slice(0, 1) : [];
  return tensors.flatMap((tensor) => tableOf(field(tensor, "TORCHTENSOR")) ?? []);
}

function tableOf(list: unknown): Table | undefined {
  const rows: unknown[] = Array.isArray(list) ? (Array.isArray(list[0]) ? list : [list]) : [];
  const width = Array.isArray(rows[0]) ? rows[0].length : 0;
  const isTable =
    width > 0 && rows.every((row) => Array.isArray(row) && row.length === width && row.every((x) => typeof x === "number"));
  return isTable ? { width, values: Float32Array.from(rows.flat() as number[]) } : undefined;
}

function field(object: unknown, name: string): unknown {
  return typeof object === "object" && object !== null && Object.hasOwn(object, name)
    ? (object as Record<string, unknown>)[name]
    : undefined;
}
