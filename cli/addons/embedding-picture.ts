/** @file Pictures of `--embedding-dir` that hold a textual inversion. Most hold none, and only show what one beside them does. */
import { inflateSync } from "node:zlib";
import type { EmbeddingFile } from "../../model/addons/embedding-library.ts";
import { embeddingKeyword, embeddingOfJson, packedBytes } from "../../model/addons/embedding-picture.ts";
import { hashOf } from "../../model/addons/textual-inversion.ts";
import { openFile } from "../files/file-source.ts";
import { decodePng } from "../png/png.ts";

/** The web UI's are below a megabyte, and one that is not is a picture. */
const maxBytes = 16 * 1024 * 1024;
/** 75 vectors of 1024 numbers, 25 characters each. */
const maxJson = 4 * 1024 * 1024;

export function embeddingPicture(name: string, path: string): EmbeddingFile {
  const read = async () => {
    const source = await openFile(path);
    try {
      if (source.size > maxBytes) return undefined;
      const bytes = Buffer.from(await source.read(0, source.size));
      const json = jsonIn(bytes);
      if (json === undefined) return undefined;
      const hash = await hashOf(bytes);
      return embeddingOfJson(path, json, { name, hash, id: hash });
    } finally {
      await source.close();
    }
  };
  return { name, read };
}

function jsonIn(bytes: Buffer): string | undefined {
  try {
    const picture = decodePng(bytes);
    const text = picture.texts.get(embeddingKeyword);
    if (text !== undefined) return Buffer.from(text, "base64").toString("utf8");
    const packed = packedBytes({ ...picture, channels: 4 });
    const json = packed && inflateSync(packed, { maxOutputLength: maxJson }).toString("utf8");
    return json?.startsWith("{") ? json : undefined;
  } catch {
    return undefined; // a damaged picture, or pixels that were never packed
  }
}
