/** @file U-Nets with more input channels than a latent has: inpainting's nine, and instruct-pix2pix's eight (the same file, a channel less). */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device, Tensor } from "../../engine/index.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { UNetDenoiser } from "../../model/denoiser/denoiser.ts";
import { gaussianBlur, type Raster } from "../../model/image/index.ts";
import { type InitOptions, StableDiffusion } from "../../model/index.ts";
import { NoiseSchedule } from "../../model/sampling/index.ts";
import { timestepEmbedding } from "../../model/unet/timestep-embedding.ts";
import { safetensors } from "../checkpoint/build-file.ts";
import { createDevice, picture, rejection } from "../reliability/picture.ts";
import { skipped } from "../skip.ts";
import { fixture, missingFixtures } from "./cases.ts";

if (missingFixtures) console.log(`extra channels: not tested, ${missingFixtures}`);

const size = { width: 64, height: 64, steps: 2, seed: 1n, guidance: 3 };
const photo: Raster = {
  width: 64,
  height: 64,
  channels: 3,
  data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 5 + (i >> 7) * 3) & 255),
};
const box = Uint8Array.from({ length: 64 * 64 }, (_, p) => (p % 64 > 20 && p % 64 < 45 && p > 64 * 16 && p < 64 * 44 ? 255 : 0));
const mask: Raster = { width: 64, height: 64, channels: 1, data: box };

/** The inpainting fixture with the first convolution cut to eight channels. */
function pix2pixFile(): Uint8Array {
  const bytes = readFileSync(fixture("sd1-inpaint-tiny").model);
  const length = Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { dtype: "F16"; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    bytes.toString("utf8", 8, 8 + length),
  );
  const tensors = Object.entries(header).flatMap(([name, { dtype, shape, data_offsets: offsets }]) => {
    if (name === "__metadata__") return [];
    const data = bytes.subarray(8 + length + offsets[0], 8 + length + offsets[1]);
    if (shape[1] !== 9) return [{ name, dtype, shape, bytes: data }];
    const each = data.length / (shape[0]! * 9);
    const rows = Array.from({ length: shape[0]! }, (_, o) => data.subarray(o * 9 * each, (o * 9 + 8) * each));
    return [{ name, dtype, shape: [shape[0]!, 8, ...shape.slice(2)], bytes: new Uint8Array(Buffer.concat(rows)) }];
  });
  return safetensors(tensors);
}

describe.skipIf(skipped("extra input channels", missingFixtures))("extra input channels", () => {
  let device: Device;
  beforeAll(async () => {
    device = await createDevice({ precision: "f32" });
  });
  afterAll(() => device.close());

  async function inpaintingModel(): Promise<StableDiffusion> {
    return StableDiffusion.load(await openFile(fixture("sd1-inpaint-tiny").model), { device, picture: size });
  }

  test("the U-Net sees latent, mask, picture in this order, for both halves of the batch", async () => {
    const { unet } = (await inpaintingModel()).model.makeModules();
    const random = (count: number, seed: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + seed));
    const [latent, extra] = [random(8 * 8 * 4, 1), random(8 * 8 * 8, 2).map((value, i) => (i % 8 > 4 ? 0 : value))];
    const context = device.upload(random(2 * 77 * 128, 3), [2, 77, 128]);
    const nonFinite = device.upload(new Uint32Array(1), [1]);
    const schedule = new NoiseSchedule();
    const options = { unet, prediction: "eps", variant: "inpaint", schedule, height: 8, width: 8, context, nonFinite } as const;
    const denoiser = new UNetDenoiser(options);
    denoiser.setExtra([extra]);
    denoiser.prepare();
    denoiser.guidance = 2;
    const x = device.upload(latent, [1, 8, 8, 4]);
    const eps = await denoiser.eps(x, { timestep: 300, alphaBar: schedule.alphaBar[300]! }).read();
    // The same by hand: twelve channels, the batch twice over.
    const joined = Float32Array.from({ length: 2 * 64 * 12 }, (_, i) => {
      const [pixel, channel] = [Math.floor(i / 12) % 64, i % 12];
      return channel < 4 ? latent[pixel * 4 + channel]! : extra[pixel * 8 + channel - 4]!;
    });
    const { modelChannels } = unet.config;
    const out = device.scope(() =>
      unet.forward(
        device.upload(joined, [2, 8, 8, 12]),
        device.upload(timestepEmbedding([300, 300], modelChannels), [2, modelChannels]),
        unet.prepare(context),
      ),
    );
    const both = await out.read();
    const expected = both.slice(0, 256).map((negative, i) => negative + 2 * (both[256 + i]! - negative));
    expect(Math.max(...expected.map((value, i) => Math.abs(value - eps[i]!)))).toBeLessThan(1e-5);
    denoiser.free();
    for (const tensor of [context, nonFinite, x, out]) tensor.free();
  });

  test("an inpainting model makes pictures from nothing, from a picture, and under a mask", async () => {
    const model = await inpaintingModel();
    const make = (init?: InitOptions) => picture(model, { ...size, init });
    const alone = await make();
    const live = device.memory.liveBytes;
    expect((await make({ image: photo, strength: 1 })).pixels).toEqual(alone.pixels);
    const { pixels } = await make({ image: photo, strength: 0.9, inpaint: { mask } });
    const { data } = gaussianBlur(mask, 4);
    const kept = [...data.keys()].filter((p) => data[p] === 0);
    expect(kept.every((p) => [0, 1, 2].every((c) => pixels[4 * p + c] === photo.data[3 * p + c]))).toBe(true);
    // What is under the mask is not shown to the model.
    const all = { ...mask, data: new Uint8Array(64 * 64).fill(255) };
    expect((await make({ image: photo, strength: 1, inpaint: { mask: all, blur: 0 } })).pixels).toEqual(alone.pixels);
    const half = { ...mask, data: box.map((_, p) => (p % 64 < 32 ? 255 : 0)) };
    expect((await make({ image: photo, strength: 1, inpaint: { mask: half } })).latent).not.toEqual(alone.latent);
    expect(device.memory.liveBytes).toBe(live);
    model.free();
  });

  describe("instruct-pix2pix", () => {
    let model: StableDiffusion;
    beforeAll(async () => {
      model = await StableDiffusion.load(new MemorySource(pix2pixFile(), "pix2pix.safetensors"), { device, picture: size });
    });
    afterAll(() => model.free());

    test("is recognised, and asks for a picture", async () => {
      expect(model.config.variant).toBe("pix2pix");
      expect((await rejection(picture(model, size))).code).toBe("INIT_MISSING");
    });

    test("starts from noise unless told otherwise, and looks at the picture", async () => {
      const made = await picture(model, { ...size, init: { image: photo } });
      expect(made.settings.strength).toBe(1);
      const inverted = { ...photo, data: photo.data.map((value) => 255 - value) };
      expect((await picture(model, { ...size, init: { image: inverted } })).pixels).not.toEqual(made.pixels);
      const free = { image: photo, imageGuidance: 0 };
      expect((await picture(model, { ...size, guidance: 0, init: free })).pixels).toEqual(
        (await picture(model, { ...size, guidance: 0, init: { ...free, image: inverted } })).pixels,
      );
    });

    test("guides three ways (Brooks et al. 2023, eq. 3)", async () => {
      const { unet } = model.model.makeModules();
      const random = (count: number, seed: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.3 + seed));
      const [latent, image, texts] = [random(256, 1), random(256, 2), random(3 * 77 * 128, 3)];
      texts.copyWithin(77 * 128, 0, 77 * 128); // the negative prompt twice
      const context = device.upload(texts, [3, 77, 128]);
      const nonFinite = device.upload(new Uint32Array(1), [1]);
      const schedule = new NoiseSchedule();
      const denoiser = new UNetDenoiser({
        unet,
        prediction: "eps",
        variant: "pix2pix",
        schedule,
        height: 8,
        width: 8,
        context,
        nonFinite,
      });
      denoiser.setExtra([new Float32Array(256), image, image]);
      denoiser.prepare();
      Object.assign(denoiser, { guidance: 7, imageGuidance: 1.5 });
      const x = device.upload(latent, [1, 8, 8, 4]);
      const eps = await denoiser.eps(x, { timestep: 700, alphaBar: schedule.alphaBar[700]! }).read();
      const { modelChannels } = unet.config;
      const time = timestepEmbedding([700], modelChannels);
      const alone = async (seen: Float32Array, text: Float32Array): Promise<Float32Array> => {
        const joined = Float32Array.from({ length: 64 * 8 }, (_, i) =>
          i % 8 < 4 ? latent[Math.floor(i / 8) * 4 + (i % 8)]! : seen[Math.floor(i / 8) * 4 + (i % 8) - 4]!,
        );
        const out: Tensor = device.scope(() =>
          unet.forward(
            device.upload(joined, [1, 8, 8, 8]),
            device.upload(time, [1, modelChannels]),
            unet.prepare(device.upload(text, [1, 77, 128])),
          ),
        );
        const values = await out.read();
        out.free();
        return values;
      };
      const [negative, prompt] = [texts.slice(0, 77 * 128), texts.slice(2 * 77 * 128)];
      const neither = await alone(new Float32Array(256), negative);
      const seen = await alone(image, negative);
      const both = await alone(image, prompt);
      const expected = neither.map((value, i) => value + 1.5 * (seen[i]! - value) + 7 * (both[i]! - seen[i]!));
      expect(Math.max(...expected.map((value, i) => Math.abs(value - eps[i]!)))).toBeLessThan(2e-5);
      denoiser.free();
      for (const tensor of [context, nonFinite, x]) tensor.free();
    });
  });
});
