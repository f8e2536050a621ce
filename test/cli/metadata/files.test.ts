import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { jpegTexts, webpTexts } from "../../../cli/metadata/exif.ts";
import { parseInfotext } from "../../../cli/metadata/infotext.ts";
import { readPictureTexts } from "../../../cli/metadata/picture-texts.ts";
import { recipeOf } from "../../../cli/metadata/recognise.ts";
import { encodePng } from "../../../cli/png/png.ts";
import { temporaryFolder } from "../limn.ts";

const folder = temporaryFolder();
const parameters = "a \u72d0\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 3, Size: 64x64";
const pixels = { width: 1, height: 1, data: new Uint8Array(3) };

/** A TIFF structure with one text: folder 0 -> EXIF folder -> UserComment, as piexif writes it. */
function exif(comment: Buffer, little = false): Buffer {
  const tiff = Buffer.alloc(44);
  const u16 = (value: number, at: number) => (little ? tiff.writeUInt16LE(value, at) : tiff.writeUInt16BE(value, at));
  const u32 = (value: number, at: number) => (little ? tiff.writeUInt32LE(value, at) : tiff.writeUInt32BE(value, at));
  tiff.write(little ? "II" : "MM", 0, "latin1");
  u16(42, 2);
  u32(8, 4);
  for (const [at, tag, type, count, value] of [
    [8, 0x8769, 4, 1, 26],
    [26, 0x9286, 7, comment.length, 44],
  ] as const) {
    u16(1, at);
    u16(tag, at + 2);
    u16(type, at + 4);
    u32(count, at + 6);
    u32(value, at + 10);
  }
  return Buffer.concat([tiff, comment]);
}

const utf16be = (text: string) => Buffer.from(text, "utf16le").swap16();
const unicode = (text: Buffer) => Buffer.concat([Buffer.from("UNICODE\0", "latin1"), text]);

function segment(marker: number, data: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([head, data]);
}

function jpeg(...segments: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0xff, 0xd8]), ...segments, Buffer.from([0xff, 0xda, 0, 2, 0xff, 0xe1])]);
}

function webp(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.write("RIFF", 0, "latin1");
  head.write("WEBP", 8, "latin1");
  head.write(type, 12, "latin1");
  head.writeUInt32LE(data.length, 16);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}

describe("texts of JPEG and WebP", () => {
  const header = Buffer.from("Exif\0\0", "latin1");

  it("are read from EXIF, in UTF-16 either way and in ASCII", () => {
    for (const tiff of [exif(unicode(utf16be(parameters))), exif(unicode(Buffer.from(parameters, "utf16le")), true)]) {
      expect(jpegTexts(jpeg(segment(0xe1, Buffer.concat([header, tiff])))).get("parameters")).toBe(parameters);
      expect(webpTexts(webp("EXIF", tiff)).get("parameters")).toBe(parameters);
      expect(webpTexts(webp("EXIF", Buffer.concat([header, tiff]))).get("parameters")).toBe(parameters);
    }
    const ascii = exif(Buffer.from("ASCII\0\0\0Steps: 20", "latin1"));
    expect(webpTexts(webp("EXIF", ascii)).get("parameters")).toBe("Steps: 20");
  });

  it("are read from sd.cpp's comment and XMP", () => {
    expect(jpegTexts(jpeg(segment(0xfe, Buffer.from(`parameters\0${parameters}`)))).get("parameters")).toBe(parameters);
    const xmp = Buffer.from("<x><sdcpp:parameters>a &lt;lora:b:1&gt; &amp;amp; &#x1F98A;</sdcpp:parameters></x>");
    expect(webpTexts(webp("XMP ", xmp)).get("parameters")).toBe("a <lora:b:1> &amp; \u{1f98a}");
  });

  it("end where a file lies about its lengths", () => {
    const whole = jpeg(segment(0xe1, Buffer.concat([header, exif(unicode(utf16be(parameters)))])));
    for (let length = 0; length < whole.length; length++) jpegTexts(whole.subarray(0, length));
    const tiff = exif(unicode(utf16be(parameters)));
    for (let at = 0; at < 44; at++) {
      const broken = Buffer.from(tiff);
      broken[at] = 0xff;
      webpTexts(webp("EXIF", broken));
    }
    const endless = webp("EXIF", tiff);
    endless.writeUInt32LE(0xffffffff, 16);
    expect(webpTexts(endless).get("parameters")).toBe(parameters);
  });
});

describe("texts of a PNG", () => {
  const file = (name: string, bytes: Buffer) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };

  it("round-trip (faults.md, row 63)", async () => {
    for (const prompt of [
      "a\nb",
      "]",
      "x".repeat(100 << 10),
      "caf\u00e9",
      "\u72d0 \u{1f98a}",
      'Steps: 1, Sampler: x, Seed: 2, \\ "',
    ]) {
      const { texts, skipped } = await readPictureTexts(
        file("round.png", encodePng(pixels, { limn: prompt, parameters: prompt })),
      );
      expect([texts.get("limn"), texts.get("parameters"), skipped]).toEqual([prompt, prompt, []]);
    }
  });

  it("are passed over beyond 1 MiB, also when they are packed (row 57)", async () => {
    const [plain, packed] = [Buffer.alloc((1 << 20) + 1, "x"), deflateSync(Buffer.alloc(50 << 20, "x"))];
    const chunk = (type: string, data: Buffer) => {
      const bytes = Buffer.alloc(12 + data.length);
      bytes.writeUInt32BE(data.length, 0);
      bytes.write(type, 4, "latin1");
      data.copy(bytes, 8);
      bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
      return bytes;
    };
    const png = encodePng(pixels, { prompt: "{}" });
    const head = Buffer.from("parameters\0", "latin1");
    const long = Buffer.concat([
      png.subarray(0, 33),
      chunk("tEXt", Buffer.concat([head, plain])),
      chunk("zTXt", Buffer.concat([head, Buffer.from([0]), packed])),
      chunk("iTXt", Buffer.concat([head, Buffer.from([1, 0, 0, 0]), packed])),
      png.subarray(33),
    ]);
    const { texts, skipped } = await readPictureTexts(file("long.png", long));
    expect([...texts.keys()]).toEqual(["prompt"]);
    expect(skipped).toHaveLength(3);
    expect(skipped[0]).toMatch(/^parameters: more than 1048576 bytes/);
  });

  it("are of no other kind of file", async () => {
    await expect(readPictureTexts(file("a.txt", Buffer.from("hello")))).rejects.toMatchObject({ code: "IMAGE_KIND" });
    await expect(readPictureTexts(file("empty", Buffer.alloc(0)))).rejects.toMatchObject({ code: "IMAGE_KIND" });
  });
});

describe("hostile texts", () => {
  const mebibyte = 1 << 20;
  const fill = (unit: string) => unit.repeat(Math.floor(mebibyte / unit.length));
  const texts: Readonly<Record<string, string>> = {
    letters: fill("a"),
    "keys without values": fill("key "),
    "colons and quotes": fill('a: "'),
    backslashes: `Steps: "${fill("\\")}`,
    pairs: fill("ab: c, "),
    "open quotes": fill('ab: "x, '),
    "deep arrays": fill("["),
    "deep objects": fill('{"a":'),
    marks: fill(", SDCPP: {"),
    digits: fill("9"),
    "a graph of circles": `{${fill('"1":{"class_type":"KSampler","inputs":{"model":["1",0],"latent_image":["1",0]}},').slice(0, -1)}}`,
  };

  it.each(Object.keys(texts))("of a mebibyte are read within seconds: %s", { timeout: 30_000 }, (name) => {
    const begin = performance.now();
    const text = texts[name]!;
    for (const keyword of ["parameters", "prompt", "limn"]) recipeOf(new Map([[keyword, text]]));
    recipeOf(new Map([["parameters", `${text}, Version: stable-diffusion.cpp`]]));
    // Quadratic work on a mebibyte takes minutes.
    expect(performance.now() - begin).toBeLessThan(20_000);
  });

  it("put nothing into prototypes", () => {
    const pairs = "x\n__proto__: 1, constructor: 2, toString: 3, Steps: 4";
    expect(parseInfotext(pairs).values.get("__proto__")).toBe("1");
    expect(recipeOf(new Map([["parameters", pairs]]))?.settings.steps).toBe(4);
    recipeOf(new Map([["prompt", '{"__proto__":{"class_type":"KSampler","inputs":{"__proto__":{"seed":1}}}}']]));
    expect(({} as Record<string, unknown>)["class_type"]).toBeUndefined();
  });
});
