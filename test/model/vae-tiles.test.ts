/** @file VAE in tiles: ComfyUI's places and weights, and pictures that hardly differ from those decoded whole. */
import { describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { recordPicture } from "../../cli/metadata/record.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import type { Txt2imgOptions } from "../../cli/syntax/options.ts";
import type { GeneratedImage } from "../../model/index.ts";
import { planModel } from "../../model/plan/plan.ts";
import { checkTile, TileBlend, tilesOf, tilesWarning, tilingOf } from "../../model/vae/tiles.ts";
import { createDevice, embeddedModel, loadSmall, picture } from "../reliability/picture.ts";
import { gpuLike } from "./capabilities.ts";
import { psnr } from "./psnr.ts";

describe("tiles", () => {
  test.for([
    // By `tiled_scale_multidim`: range(0, size - overlap, tile - overlap), cut at the end.
    [1024, 512, 64, [0, 448, 896], [512, 512, 128]],
    [512, 512, 64, [0], [512]],
    [520, 512, 64, [0, 448], [512, 72]],
    [960, 512, 64, [0, 448], [512, 512]],
    [300, 100, 20, [0, 80, 160, 240], [100, 100, 100, 60]],
  ] as const)("%i pixels in tiles of %i that overlap by %i begin at %j", ([size, tile, overlap, begins, sizes]) => {
    const tiles = tilesOf({ width: size, height: 64 }, { tile, overlap });
    expect(tiles.map(({ left }) => left)).toEqual(begins);
    expect(tiles.map(({ width }) => width)).toEqual(sizes);
    expect(tiles.every(({ top, height }) => top === 0 && height === 64)).toBe(true);
    const upright = tilesOf({ width: 64, height: size }, { tile, overlap });
    expect(upright.map(({ top }) => top)).toEqual(begins);
  });

  test("count as ComfyUI's mask has it, also at the border of the map", () => {
    const blend = new TileBlend({ width: 7, height: 1 }, 1, 2);
    // Overlap 2: weights 1/2 1 1 1/2 | 1/2 1 1 1 1/2; the first says 10, the second 20.
    blend.add(Float32Array.of(10, 10, 10, 10), { left: 0, top: 0, width: 4, height: 1 });
    blend.add(Float32Array.of(20, 20, 20, 20, 20), { left: 2, top: 0, width: 5, height: 1 });
    // Rows are no longer than the overlap, so nothing is weighed along them.
    const expected = [10, 10, (10 * 1 + 20 * 0.5) / 1.5, (10 * 0.5 + 20 * 1) / 1.5, 20, 20, 20];
    for (const [i, value] of blend.result().entries()) expect(value).toBeCloseTo(expected[i]!, 5);
  });

  test("hold their places and drop channels of padding", () => {
    const size = { width: 40, height: 24 };
    const map = (x: number, y: number, c: number) => x + 100 * y + 10_000 * c;
    const blend = new TileBlend(size, 2, 8);
    for (const tile of tilesOf(size, { tile: 16, overlap: 8 })) {
      const values = Float32Array.from({ length: tile.width * tile.height * 3 }, (_, i) => {
        const p = Math.floor(i / 3);
        return map(tile.left + (p % tile.width), tile.top + Math.floor(p / tile.width), i % 3);
      });
      blend.add(values, tile);
    }
    const whole = blend.result();
    expect(whole).toHaveLength(40 * 24 * 2);
    for (const [i, value] of whole.entries()) {
      const p = Math.floor(i / 2);
      expect(Math.abs(value - map(p % 40, Math.floor(p / 40), i % 2))).toBeLessThan(0.01);
    }
  });

  test.for([0, 64, 100, 8192, 512.5])("of %d pixels are refused", (tile) => {
    expect(() => checkTile(tile)).toThrow(/VAE tile: .* is no multiple of 64 from 128 to 4096/);
  });

  test("overlap by an eighth", () => {
    expect(tilingOf(512)).toEqual({ tile: 512, overlap: 64 });
  });
});

describe("a picture of the embedded model", () => {
  const size = { width: 192, height: 128, steps: 1 } as const;

  test("in tiles needs less memory and hardly differs; from a picture too", async () => {
    const made = async (vaeTile?: number): Promise<{ first: GeneratedImage; again: GeneratedImage; bytes: number }> => {
      const device = await createDevice({ precision: "f32" });
      const model = await loadSmall(device, { picture: { ...size, vaeTile } });
      const first = await picture(model, { ...size, vaeTile });
      const bytes = device.activationBytes;
      const image = { width: size.width, height: size.height, channels: 4, data: first.pixels } as const;
      const again = await picture(model, { ...size, vaeTile, init: { image, strength: 0 } });
      model.free();
      expect(device.memory.liveBytes).toBe(0);
      device.close();
      return { first, again, bytes };
    };
    const whole = await made();
    const tiled = await made(128);
    expect(tiled.first.latent).toEqual(whole.first.latent);
    expect(tiled.bytes).toBeLessThan(0.8 * whole.bytes);
    expect(psnr(tiled.first.pixels, whole.first.pixels)).toBeGreaterThan(25);
    expect(psnr(tiled.again.pixels, whole.again.pixels)).toBeGreaterThan(25);
  });

  test("that is too much for the adapter as a whole is decoded in tiles, told and kept; asked for, nothing is said", async () => {
    // What the VAE's attention reads, 16x24 tokens of 128 channels, is more than such a binding holds; of 16x16 it is not.
    const device = await createDevice({ precision: "f32", limits: { maxStorageBufferBindingSize: 160 * 1024 } });
    const model = await loadSmall(device);
    const fallen = await picture(model, size);
    const asked = await picture(model, { ...size, vaeTile: 128 });
    device.close();
    expect([fallen.vaeTile, asked.vaeTile]).toEqual([128, 128]);
    expect(fallen.warnings).toEqual([tilesWarning(128)]);
    expect(asked.warnings).toEqual([]);
    expect(fallen.pixels).toEqual(asked.pixels);
    const { options } = parseArguments(["a red fox"], "1.2.3") as { options: Txt2imgOptions };
    const machine = { tier: "software", precision: "f32", adapter: "" };
    const recipe = recordPicture({
      options,
      image: fallen,
      index: 0,
      variant: "base",
      files: { model: undefined, vae: undefined },
      machine,
    });
    expect(recipe.settings.vaeTile).toBe(128);
    const source = await openFile(embeddedModel);
    const plan = await planModel(source, gpuLike({ maxStorageBufferBindingSize: 160 * 1024 }), {
      tier: "f32",
      precision: "f32",
      size,
    });
    await source.close();
    expect(plan.vaeTile).toBe(128);
  });
});
