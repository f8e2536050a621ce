/** @file What kind of file some bytes are, by how they begin; the name's ending says nothing. */

/** `sharp`: pictures that sharp can decode. `other`: known, and not taken. */
export interface ImageKind {
  readonly name: string;
  readonly reader: "png" | "sharp" | "other";
}

const isoBrands: Readonly<Record<string, ImageKind>> = {
  avif: { name: "AVIF", reader: "sharp" },
  avis: { name: "AVIF", reader: "sharp" },
  heic: { name: "HEIC", reader: "sharp" },
  heix: { name: "HEIC", reader: "sharp" },
  mif1: { name: "HEIF", reader: "sharp" },
  msf1: { name: "HEIF", reader: "sharp" },
};

/** Undefined for an empty file and for what nothing here recognises. */
export function kindOf(bytes: Buffer): ImageKind | undefined {
  const begins = (text: string, at = 0) => bytes.toString("latin1", at, at + text.length) === text;
  if (begins("\x89PNG")) return { name: "PNG", reader: "png" };
  if (begins("\xff\xd8\xff")) return { name: "JPEG", reader: "sharp" };
  if (begins("RIFF") && begins("WEBP", 8)) return { name: "WebP", reader: "sharp" };
  if (begins("GIF87a") || begins("GIF89a")) return { name: "GIF", reader: "sharp" };
  if (begins("ftyp", 4)) return isoBrands[bytes.toString("latin1", 8, 12)] ?? { name: "a video", reader: "other" };
  if (begins("II*\0") || begins("MM\0*")) return { name: "TIFF", reader: "other" };
  if (begins("%PDF")) return { name: "PDF", reader: "other" };
  if (begins("BM")) return { name: "BMP", reader: "other" };
  const head = bytes.toString("latin1", 0, 1024).trimStart();
  if (/^(<\?xml.*?)?\s*<(svg|!DOCTYPE svg)/is.test(head)) return { name: "SVG", reader: "other" };
  return undefined;
}
