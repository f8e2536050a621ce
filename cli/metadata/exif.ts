/**
 * @file Where JPEG and WebP keep texts: EXIF's UserComment (A1111), a JPEG comment and XMP (sd.cpp). Every offset comes from the file,
 * so every read is checked.
 */

const userComment = 0x9286;
const exifFolder = 0x8769;
/** Entries of a TIFF folder that are looked at. */
const mostEntries = 1000;
/** Segments or chunks of a file. */
const mostParts = 4096;

/** Texts by keyword; `parameters` holds the generation parameters, however the file keeps them. */
export function jpegTexts(bytes: Buffer): Map<string, string> {
  const texts = new Map<string, string>();
  let at = 2;
  for (let part = 0; part < mostParts && at + 4 <= bytes.length && bytes[at] === 0xff; part++) {
    const marker = bytes[at + 1]!;
    const length = bytes.readUInt16BE(at + 2);
    // Pixels follow the start of a scan.
    if (marker === 0xda || length < 2) break;
    const data = bytes.subarray(at + 4, at + 2 + length);
    if (marker === 0xe1 && data.toString("latin1", 0, 6) === "Exif\0\0") addComment(texts, data.subarray(6));
    if (marker === 0xe1) addXmp(texts, data);
    if (marker === 0xfe) addPlainComment(texts, data);
    at += 2 + length;
  }
  return texts;
}

export function webpTexts(bytes: Buffer): Map<string, string> {
  const texts = new Map<string, string>();
  let at = 12;
  for (let part = 0; part < mostParts && at + 8 <= bytes.length; part++) {
    const type = bytes.toString("latin1", at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (type === "EXIF") addComment(texts, data.toString("latin1", 0, 6) === "Exif\0\0" ? data.subarray(6) : data);
    if (type === "XMP ") addXmp(texts, data);
    at += 8 + length + (length % 2);
  }
  return texts;
}

/** `parameters\0text`, as sd.cpp writes it; any other comment by the name "comment". */
function addPlainComment(texts: Map<string, string>, data: Buffer): void {
  const mark = "parameters\0";
  const text = data.toString("utf8");
  if (text.startsWith(mark)) texts.set("parameters", text.slice(mark.length));
  else texts.set("comment", text);
}

/** The UserComment of a TIFF structure (EXIF 2.32, 4.6.5): eight bytes that name the encoding, then the text. */
function addComment(texts: Map<string, string>, tiff: Buffer): void {
  const little = tiff.toString("latin1", 0, 2) === "II";
  const u16 = (at: number) => (at + 2 <= tiff.length ? (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at)) : 0);
  const u32 = (at: number) => (at + 4 <= tiff.length ? (little ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at)) : 0);
  const entry = (folder: number, tag: number): number | undefined => {
    for (let index = 0; index < Math.min(u16(folder), mostEntries); index++) {
      const at = folder + 2 + 12 * index;
      if (u16(at) === tag) return at;
    }
    return undefined;
  };
  const pointer = entry(u32(4), exifFolder);
  const found = pointer === undefined ? undefined : entry(u32(pointer + 8), userComment);
  if (found === undefined) return;
  const length = u32(found + 4);
  const data = tiff.subarray(u32(found + 8), u32(found + 8) + length);
  const encoding = data.toString("latin1", 0, 8);
  const text = data.subarray(8);
  if (encoding === "UNICODE\0") texts.set("parameters", utf16(text, little));
  else if (length > 8) texts.set("parameters", (encoding === "ASCII\0\0\0" ? text : data).toString("utf8"));
}

/** piexif writes UTF-16 with the high byte first, whatever the order of the file's numbers; others go by that order. */
function utf16(data: Buffer, little: boolean): string {
  const highFirst = data.length > 1 && (data[0] === 0 || (data[1] !== 0 && !little));
  const whole = Buffer.from(data.subarray(0, data.length - (data.length % 2)));
  return (highFirst ? whole.swap16() : whole).toString("utf16le");
}

/** sd.cpp's XMP: `<sdcpp:parameters>text</sdcpp:parameters>`. */
function addXmp(texts: Map<string, string>, data: Buffer): void {
  const [open, close] = ["<sdcpp:parameters>", "</sdcpp:parameters>"];
  const xml = data.toString("utf8");
  const begin = xml.indexOf(open);
  const end = begin < 0 ? -1 : xml.indexOf(close, begin);
  if (end >= 0) texts.set("parameters", unescaped(xml.slice(begin + open.length, end)));
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescaped(text: string): string {
  return text.replace(/&(?:(lt|gt|quot|apos|amp)|#(\d{1,7})|#x([0-9a-f]{1,6}));/gi, (whole, name, decimal, hex) => {
    if (name !== undefined) return entities[String(name).toLowerCase()] ?? whole;
    const point = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}
