import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { readChunks, signature, writeChunk } from "../../cli/png/chunks.ts";
import { decodePng, encodePng, readPngTexts } from "../../cli/png/png.ts";
import { ImageError } from "../../engine/errors.ts";

function gradient(width: number, height: number, channels: 3 | 4): Uint8Array {
  return Uint8Array.from({ length: width * height * channels }, (_, index) => (index * 37 + (index >> 3)) & 255);
}

/** A file of these chunks, with proper checksums. */
function file(...chunks: [type: string, data: Uint8Array][]): Buffer {
  return Buffer.concat([signature, ...chunks.map(([type, data]) => writeChunk(type, data))]);
}

function header(width: number, height: number, [depth, color, ...rest]: readonly number[] = [8, 2]): [string, Buffer] {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width, 0);
  data.writeUInt32BE(height, 4);
  data.set([depth!, color!, ...rest], 8);
  return ["IHDR", data];
}

/** Rows of zeros with filter 0. */
function pixels(width: number, height: number, bytes = 3): [string, Buffer] {
  return ["IDAT", deflateSync(Buffer.alloc((width * bytes + 1) * height))];
}

const end: [string, Buffer] = ["IEND", Buffer.alloc(0)];

function codeOf(bytes: Buffer): string {
  try {
    decodePng(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(ImageError);
    return (error as ImageError).code;
  }
  return "decoded";
}

describe("PNG", () => {
  it.each([3, 4] as const)("writes %i channels that pngjs reads back", (channels) => {
    const [width, height] = [13, 7];
    const data = gradient(width, height, channels);
    const decoded = PNG.sync.read(encodePng({ width, height, data }));
    expect([decoded.width, decoded.height]).toEqual([width, height]);
    const expected = Array.from({ length: width * height }, (_, pixel) => [
      ...data.subarray(pixel * channels, pixel * channels + 3),
      channels === 4 ? data[pixel * 4 + 3]! : 255,
    ]).flat();
    expect([...decoded.data]).toEqual(expected);
  });

  it("refuses bytes that are not the picture's", () => {
    expect(() => encodePng({ width: 2, height: 2, data: new Uint8Array(11) })).toThrow(/11 bytes/);
  });

  it("writes Latin-1 as tEXt and other text as iTXt, behind the header", () => {
    const picture = { width: 1, height: 1, data: new Uint8Array(3) };
    const [, latin] = readChunks(encodePng(picture, { parameters: "größe: 3" }));
    expect(latin?.type).toBe("tEXt");
    expect(latin?.data).toEqual(Buffer.from("parameters\0größe: 3", "latin1"));
    const [, unicode] = readChunks(encodePng(picture, { parameters: "狐" }));
    expect(unicode?.type).toBe("iTXt");
    expect(unicode?.data).toEqual(Buffer.concat([Buffer.from("parameters\0\0\0\0\0"), Buffer.from("狐")]));
  });

  it("round-trips any text but NUL and lone surrogates (fault 63)", () => {
    const check = (text: string): void => {
      const bytes = encodePng({ width: 1, height: 1, data: new Uint8Array(3) }, { parameters: text });
      expect(readPngTexts(bytes).get("parameters")).toBe(text.replaceAll("\0", ""));
    };
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), check), { numRuns: 200 });
    for (const text of ["line\nline]", "x".repeat(102_400), "狐".repeat(34_000), "é", "", "\u0080"]) check(text);
  });

  it("has right checksums", () => {
    const bytes = encodePng({ width: 1, height: 1, data: new Uint8Array(3) }, { parameters: "fox" });
    const at = bytes.indexOf("tEXt");
    const length = bytes.readUInt32BE(at - 4);
    expect(bytes.readUInt32BE(at + 4 + length)).toBe(crc32(bytes.subarray(at, at + 4 + length)));
  });

  it("decodes what it encodes, texts included", () => {
    const data = gradient(5, 4, 4);
    const decoded = decodePng(encodePng({ width: 5, height: 4, data }, { parameters: "fox" }));
    expect([...decoded.data]).toEqual([...data]);
    expect(decoded.texts.get("parameters")).toBe("fox");
  });

  it("decodes an interlaced picture", () => {
    // Adam7 of a 3x3 picture: the passes have 1x1, 0, 0, 1x1... pixels; pngjs itself can't write it, so the passes are spelt out.
    const passes = [
      [1, 1],
      [0, 0],
      [1, 0],
      [1, 1],
      [2, 1],
      [1, 2],
      [3, 1],
    ].filter(([w, h]) => w && h);
    const raw = Buffer.concat(passes.map(([w, h]) => Buffer.alloc((w! * 3 + 1) * h!)));
    expect([...decodePng(file(header(3, 3, [8, 2, 0, 0, 1]), ["IDAT", deflateSync(raw)], end)).data]).toEqual(
      Array(9).fill([0, 0, 0, 255]).flat(),
    );
  });

  const bomb = deflateSync(Buffer.alloc(1 << 20));
  const good = encodePng({ width: 4, height: 4, data: new Uint8Array(48) });
  const damaged = Buffer.from(good);
  damaged[damaged.length - 20]! ^= 1;
  const faults: readonly (readonly [fault: string, bytes: Buffer, code: string])[] = [
    ["an empty file", Buffer.alloc(0), "NOT_PNG"],
    ["a JPEG", Buffer.from([0xff, 0xd8, 0xff, 0xe0]), "NOT_PNG"],
    ["65535 x 65535", file(header(65535, 65535), pixels(1, 1), end), "PNG_SIZE"],
    ["16385 wide", file(header(16385, 1), pixels(1, 1), end), "PNG_SIZE"],
    ["more than 64 megapixels", file(header(16384, 4097), pixels(1, 1), end), "PNG_SIZE"],
    ["width 0", file(header(0, 1), pixels(1, 1), end), "PNG_SIZE"],
    ["more pixels than announced", file(header(2, 2), ["IDAT", bomb], end), "PNG_PIXELS"],
    ["fewer pixels than announced", file(header(200, 200), pixels(2, 2), end), "PNG_PIXELS"],
    ["pixels that don't inflate", file(header(2, 2), ["IDAT", Buffer.from("nonsense")], end), "PNG_PIXELS"],
    ["filter 5", file(header(1, 1), ["IDAT", deflateSync(Buffer.from([5, 0, 0, 0]))], end), "PNG_PIXELS"],
    ["colour type 5", file(header(2, 2, [8, 5]), pixels(2, 2), end), "PNG_FORMAT"],
    ["3 bits a channel", file(header(2, 2, [3, 2]), pixels(2, 2), end), "PNG_FORMAT"],
    ["IHDR of 12 bytes", file(["IHDR", Buffer.alloc(12)], end), "PNG_CHUNK"],
    ["IHDR twice", file(header(2, 2), header(2, 2), pixels(2, 2), end), "PNG_ORDER"],
    ["IHDR late", file(["tEXt", Buffer.from("a\0b")], header(2, 2), pixels(2, 2), end), "PNG_ORDER"],
    ["IDAT in two places", file(header(2, 2), pixels(2, 2), ["tEXt", Buffer.from("a\0b")], pixels(2, 2), end), "PNG_ORDER"],
    ["no pixels", file(header(2, 2), end), "PNG_ORDER"],
    ["no IEND", file(header(2, 2), pixels(2, 2)), "PNG_TRUNCATED"],
    ["a cut file", good.subarray(0, good.length - 15), "PNG_TRUNCATED"],
    [
      "a chunk longer than the file",
      Buffer.concat([good.subarray(0, 33), Buffer.from([0x7f, 0xff, 0xff, 0xff]), good.subarray(37)]),
      "PNG_TRUNCATED",
    ],
    ["a wrong checksum", damaged, "PNG_CRC"],
    ["a chunk with a strange name", file(header(2, 2), ["ID\u0001T", Buffer.alloc(0)], end), "PNG_CHUNK"],
    [
      "5000 chunks",
      file(header(2, 2), ...Array<[string, Buffer]>(5000).fill(["tEXt", Buffer.from("a\0b")]), pixels(2, 2), end),
      "PNG_CHUNK",
    ],
  ];
  it.each(faults)("refuses %s", (_, bytes, code) => {
    expect(codeOf(bytes)).toBe(code);
  });

  it("passes over compressed texts that inflate without end", () => {
    const packed = deflateSync(Buffer.alloc(8 << 20, 0x61));
    const text = Buffer.concat([Buffer.from("parameters\0\0"), packed]);
    expect(readPngTexts(file(header(1, 1), ["zTXt", text], pixels(1, 1), end)).size).toBe(0);
  });

  it("never throws anything but ImageError on damaged files", () => {
    const whole = encodePng({ width: 9, height: 5, data: gradient(9, 5, 3) }, { parameters: "a red fox" });
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(damage, fc.nat(whole.length), (changes, length) => {
        const bytes = Buffer.from(whole.subarray(0, Math.max(length, whole.length - 40)));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          decodePng(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
