/** @file Pictures on the CPU: resizing and blurs against Pillow 12's bytes, masks, geometry. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  binary,
  composite,
  crop,
  fillMasked,
  fitTo,
  gaussianBlur,
  greyOf,
  grownTo,
  inverted,
  latentMask,
  maskedRegion,
  nearestMask,
  type Raster,
  resize,
} from "../../model/image/index.ts";
import { sizeFrom } from "../../model/picture/img2img.ts";

/** The same bytes went through Pillow. */
const small: Raster = {
  width: 7,
  height: 5,
  channels: 3,
  data: Uint8Array.from({ length: 105 }, (_, i) => (i * i * 7 + i * 13 + (i >> 3) * 31) & 255),
};

function mask(width: number, height: number, isWhite: (x: number, y: number) => boolean): Raster {
  const data = Uint8Array.from({ length: width * height }, (_, p) => (isWhite(p % width, Math.floor(p / width)) ? 255 : 0));
  return { width, height, channels: 1, data };
}

function plain(width: number, height: number, [r, g, b]: readonly number[]): Raster {
  return { width, height, channels: 3, data: Uint8Array.from({ length: 3 * width * height }, (_, i) => [r!, g!, b!][i % 3]!) };
}

describe("as Pillow does it, byte for byte", () => {
  it("Lanczos, larger and smaller", () => {
    expect([...resize(small, { width: 9, height: 8 }).data.subarray(0, 60)]).toEqual(
      // biome-ignore format: rows of Pillow's bytes
      [0, 0, 18, 74, 100, 210, 83, 211, 175, 82, 177, 81, 210, 98, 255, 192, 93, 97, 53, 34, 0, 0, 0, 0, 10, 17, 39, 20, 68, 118, 69, 139, 152, 117, 163, 148, 132, 96, 134, 176, 77, 166, 222, 149, 123, 157, 136, 109, 44, 60, 112, 1, 39, 110, 109, 151, 247, 81, 191, 79],
    );
    expect([...resize(small, { width: 3, height: 2 }).data]).toEqual([
      89, 139, 146, 148, 119, 124, 99, 112, 97, 134, 91, 175, 118, 154, 105, 121, 185, 101,
    ]);
  });

  it("bicubic", () => {
    expect([...resize(small, { width: 3, height: 2 }, "bicubic").data]).toEqual([
      93, 139, 145, 146, 116, 125, 97, 117, 99, 132, 93, 171, 120, 151, 111, 118, 181, 99,
    ]);
  });

  it("Gaussian blur", () => {
    expect([...gaussianBlur(small, 1).data.subarray(0, 30)]).toEqual([
      62, 99, 131, 84, 128, 142, 117, 129, 142, 147, 113, 135, 139, 103, 108, 87, 84, 85, 41, 66, 80, 101, 119, 153, 101, 135,
      142, 116, 128, 134,
    ]);
    expect([...gaussianBlur(small, 4).data.subarray(0, 30)]).toEqual([
      102, 100, 134, 100, 103, 132, 98, 105, 129, 96, 107, 125, 94, 109, 122, 92, 112, 119, 90, 114, 117, 103, 102, 136, 102, 104,
      134, 99, 107, 131,
    ]);
  });

  it("grey", () => {
    expect([...greyOf(small).data.subarray(0, 14)]).toEqual([18, 154, 135, 144, 117, 11, 19, 143, 139, 109, 73, 217, 203, 81]);
  });
});

describe("fitTo", () => {
  // Left half red, right half blue.
  const wide = plain(80, 20, [255, 0, 0]);
  for (let p = 0; p < 1600; p++) if (p % 80 >= 40) wide.data.set([0, 0, 255], 3 * p);
  const pixel = ({ width, data }: Raster, x: number, y: number) => [
    ...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
  ];

  it("stretch: all of it", () => {
    const made = fitTo(wide, { width: 20, height: 20 }, "stretch");
    expect([pixel(made, 0, 0), pixel(made, 19, 19)]).toEqual([
      [255, 0, 0],
      [0, 0, 255],
    ]);
  });

  it("crop: the middle, at the same proportions", () => {
    const made = fitTo(wide, { width: 20, height: 20 }, "crop");
    expect(made.data).toEqual(crop(wide, { left: 30, top: 0, width: 20, height: 20 }).data);
  });

  it("fill: all of it, its borders repeated", () => {
    const made = fitTo(wide, { width: 40, height: 40 }, "fill");
    expect([pixel(made, 2, 0), pixel(made, 37, 39), pixel(made, 2, 20)]).toEqual([
      [255, 0, 0],
      [0, 0, 255],
      [255, 0, 0],
    ]);
    const tall = { width: 20, height: 80, channels: 3, data: plain(20, 80, [9, 8, 7]).data };
    expect(fitTo(tall, { width: 32, height: 32 }, "fill").data).toEqual(plain(32, 32, [9, 8, 7]).data);
  });

  it("takes any proportions to any size without a gap (fault 56)", () => {
    const side = fc.integer({ min: 1, max: 90 });
    const mode = fc.constantFrom("stretch" as const, "crop" as const, "fill" as const);
    fc.assert(
      fc.property(side, side, side, side, mode, (width, height, toWidth, toHeight, how) => {
        const made = fitTo(plain(width, height, [200, 100, 50]), { width: toWidth, height: toHeight }, how);
        expect(Buffer.compare(made.data, plain(toWidth, toHeight, [200, 100, 50]).data)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});

it.each([
  [100, 60, 104, 64], // the nearest multiples of 8, 64 at least
  [1, 1, 64, 64],
  [128, 256, 128, 256], // twice the checkpoint's pixels
  [1280, 1280, 128, 128],
  [4000, 100, 808, 64],
])("a picture of %ix%i makes one of %ix%i (fault 56)", (width, height, toWidth, toHeight) => {
  const defaults = { width: 128, height: 128, steps: 20, guidance: 4, sampler: "euler", schedule: "karras" };
  const image = plain(width, height, [1, 2, 3]);
  expect(sizeFrom({ image }, defaults, 8)).toEqual({ width: toWidth, height: toHeight });
  const inpaint = { mask: mask(width, height, () => true), onlyMasked: true };
  expect(sizeFrom({ image, inpaint }, defaults, 8)).toEqual({ width: 128, height: 128 });
});

describe("masks", () => {
  it("region: the least box, padded, inside the picture", () => {
    const spots = mask(50, 40, (x, y) => (x === 10 && y === 5) || (x === 20 && y === 30));
    expect(maskedRegion(spots, 0)).toEqual({ left: 10, top: 5, width: 11, height: 26 });
    expect(maskedRegion(spots, 8)).toEqual({ left: 2, top: 0, width: 27, height: 39 });
    expect(
      maskedRegion(
        mask(9, 9, () => false),
        3,
      ),
    ).toBeUndefined();
  });

  it("region: grows to the proportions wanted, and stays inside", () => {
    const picture = { width: 100, height: 60 };
    expect(grownTo({ left: 40, top: 20, width: 10, height: 20 }, { width: 64, height: 64 }, picture)).toEqual({
      left: 35,
      top: 20,
      width: 20,
      height: 20,
    });
    expect(grownTo({ left: 90, top: 0, width: 10, height: 40 }, { width: 64, height: 64 }, picture)).toEqual({
      left: 60,
      top: 0,
      width: 40,
      height: 40,
    });
    expect(grownTo({ left: 0, top: 50, width: 100, height: 10 }, { width: 64, height: 64 }, picture)).toEqual({
      left: 0,
      top: 0,
      width: 100,
      height: 60,
    });
    const at = fc.nat(99);
    fc.assert(
      fc.property(
        at,
        at,
        at,
        at,
        fc.integer({ min: 8, max: 128 }),
        fc.integer({ min: 8, max: 128 }),
        (a, b, c, d, width, height) => {
          const box = { left: Math.min(a, b), top: Math.min(c, d), width: Math.abs(a - b) + 1, height: Math.abs(c - d) + 1 };
          const grown = grownTo(box, { width, height }, { width: 100, height: 100 });
          expect(grown.left >= 0 && grown.left <= box.left && grown.left + grown.width <= 100).toBe(true);
          expect(grown.top >= 0 && grown.top <= box.top && grown.top + grown.height <= 100).toBe(true);
          expect(grown.left + grown.width).toBeGreaterThanOrEqual(box.left + box.width);
          expect(grown.top + grown.height).toBeGreaterThanOrEqual(box.top + box.height);
        },
      ),
    );
  });

  it("in the latent's size: rounded, or the nearest pixel's", () => {
    const half = mask(32, 16, (x) => x >= 20);
    expect([...latentMask(half, { width: 4, height: 2 })]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
    expect([...nearestMask(half, { width: 4, height: 2 })]).toEqual([0, 0, 0, 1, 0, 0, 0, 1]);
    expect([...inverted(binary({ ...half, data: half.data.map((_, i) => (i % 2 ? 128 : 127)) })).data.subarray(0, 2)]).toEqual([
      255, 0,
    ]);
  });

  it("composite keeps what the mask leaves out, byte for byte", () => {
    const soft = { width: 7, height: 5, channels: 1, data: Uint8Array.from({ length: 35 }, (_, p) => [0, 64, 128, 255][p % 4]!) };
    const made = composite(small, plain(7, 5, [10, 20, 30]), soft);
    for (let p = 0; p < 35; p++) {
      const pixel = [...made.data.subarray(3 * p, 3 * p + 3)];
      if (p % 4 === 0) expect(pixel).toEqual([...small.data.subarray(3 * p, 3 * p + 3)]);
      if (p % 4 >= 2) expect(pixel).toEqual([10, 20, 30]);
    }
  });

  it("fill takes its colours from around the mask, and leaves the rest", () => {
    const picture = plain(64, 64, [40, 160, 80]);
    const hole = mask(64, 64, (x, y) => x > 20 && x < 44 && y > 20 && y < 44);
    for (let p = 0; p < 64 * 64; p++) if (hole.data[p] === 255) picture.data.set([255, 0, 255], 3 * p);
    const filled = fillMasked(picture, hole);
    let [outside, inside] = [0, 0];
    for (let p = 0; p < 64 * 64; p++) {
      const [r, g, b] = filled.data.subarray(3 * p, 3 * p + 3);
      const error = Math.max(Math.abs(r! - 40), Math.abs(g! - 160), Math.abs(b! - 80));
      if (hole.data[p] === 0) outside = Math.max(outside, error);
      else inside = Math.max(inside, error);
    }
    // Colours are bytes times alpha on the way, so that faint ones are coarse.
    expect([outside <= 1, inside <= 24]).toEqual([true, true]);
  });
});
