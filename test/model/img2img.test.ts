/** @file Pictures from pictures, with the embedded checkpoint: what issue 5 measures, and that nothing stays behind. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { cast, modelInput, toPixels } from "../../kernels/index.ts";
import { Checkpoint } from "../../model/checkpoint/checkpoint.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { gaussianBlur, type Raster } from "../../model/image/index.ts";
import type { StableDiffusion } from "../../model/index.ts";
import { VaeDecoder } from "../../model/vae/decoder.ts";
import { VaeEncoder } from "../../model/vae/encoder.ts";
import { createDevice, embeddedModel, loadSmall, picture, rejection } from "../reliability/picture.ts";

let device: Device;
let model: StableDiffusion;
/** Live bytes once the VAE's encoder is there too. */
let live = 0;
let init: Raster;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  model = await loadSmall(device);
  const { pixels } = await picture(model, { steps: 4 });
  init = { width: 64, height: 64, channels: 4, data: pixels };
  await picture(model, { init: { image: init, strength: 0 } });
  live = device.memory.liveBytes;
});
afterAll(() => device.close());

/** How many steps it says to have taken, and the picture. */
async function made(options: Parameters<typeof picture>[1]) {
  let steps = 0;
  const image = await picture(model, options, () => steps++);
  expect(device.memory.liveBytes).toBe(live);
  return { image, steps };
}

/** A mask with a white box. */
function boxMask(left: number, top: number, right: number, bottom: number, size = 64): Raster {
  const data = Uint8Array.from({ length: size * size }, (_, p) => {
    const [x, y] = [p % size, Math.floor(p / size)];
    return x >= left && x < right && y >= top && y < bottom ? 255 : 0;
  });
  return { width: size, height: size, channels: 1, data };
}

/** The same picture through encoder and decoder, without the pipeline. */
async function reconstruction(image: Raster): Promise<Uint8Array> {
  const source = await openFile(embeddedModel);
  const file = await openSafetensors(source);
  const config = await readConfig(file);
  const checkpoint = new Checkpoint(file, device);
  const vae = await checkpoint.build((weights) => {
    const at = weights.at(config.vae.prefix);
    return { encoder: new VaeEncoder(at, config.vae), decoder: new VaeDecoder(at, config.vae) };
  });
  const pixels = image.width * image.height;
  const values = Float32Array.from({ length: 4 * pixels }, (_, i) => (i % 4 === 3 ? 0 : (image.data[i]! / 255) * 2 - 1));
  const rgb = device.upload(values, [1, image.height, image.width, 4]);
  const moments = device.scope(() => vae.encoder.forward(cast(rgb, device.storage)));
  const read = await moments.read();
  const mean = Float32Array.from({ length: read.length / 2 }, (_, i) => read[Math.floor(i / 4) * 8 + (i % 4)]!);
  const latent = device.upload(mean, [1, image.height / 8, image.width / 8, 4]);
  const result = device.scope(() => toPixels(vae.decoder.forward(modelInput(latent))));
  const bytes = new Uint8Array((await result.readU32()).buffer);
  for (const tensor of [rgb, moments, latent, result]) tensor.free();
  checkpoint.free();
  await source.close();
  return bytes;
}

function mostDifferent(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

describe("strength", () => {
  test("0 runs no step and gives the VAE's reconstruction", async () => {
    const { image, steps } = await made({ init: { image: init, strength: 0 } });
    expect(steps).toBe(0);
    // Times the scale factor and divided by it again, in f32.
    expect(mostDifferent(image.pixels, await reconstruction(init))).toBeLessThanOrEqual(1);
    expect(mostDifferent(image.pixels, init.data)).toBeLessThan(100);
  });

  test.each(["dpmpp_2m", "ddim", "plms", "dpmpp_sde", "unipc", "dpm_fast"])("1 is txt2img bit for bit: %s", async (sampler) => {
    const alone = await made({ sampler, steps: 3 });
    const over = await made({ sampler, steps: 3, init: { image: init, strength: 1 } });
    expect(over.image.pixels).toEqual(alone.image.pixels);
    expect(over.steps).toBe(alone.steps);
  });

  test("between them int(strength steps) + 1 steps run, and more strength changes more", async () => {
    const little = await made({ steps: 8, init: { image: init, strength: 0.25 } });
    const much = await made({ steps: 8, init: { image: init, strength: 0.75 } });
    expect([little.steps, much.steps]).toEqual([3, 7]);
    const distance = ({ pixels }: { readonly pixels: Uint8Array }) =>
      pixels.reduce((sum, value, i) => sum + Math.abs(value - init.data[i]!), 0) / pixels.length;
    expect(distance(little.image)).toBeLessThan(distance(much.image));
    expect(distance(little.image)).toBeGreaterThan(0);
  });

  test("exact: all the steps", async () => {
    const { steps } = await made({ steps: 4, init: { image: init, strength: 0.5, stepRule: "exact" } });
    expect(steps).toBe(4);
  });

  test.each([-0.1, 1.1, Number.NaN])("%d is refused", async (strength) => {
    expect((await rejection(picture(model, { init: { image: init, strength } }))).code).toBe("INVALID_STRENGTH");
  });
});

test("the encoder in row bands gives the same latent", async () => {
  const size = { width: 128, height: 128 };
  const data = Uint8Array.from({ length: 128 * 128 * 3 }, (_, i) => (i * 7 + (i >> 9) * 5) & 255);
  const photo = { ...size, channels: 3, data };
  const latentOf = async (one: StableDiffusion) => (await picture(one, { ...size, init: { image: photo, strength: 0 } })).latent;
  const narrow = await createDevice({ precision: "f32" });
  const other = await loadSmall(narrow, { picture: size });
  // The encoder is recorded when it is first used. WebGPU grants no limit this low, so it is claimed: the largest maps have 2 MiB.
  const { limits } = narrow.gpu;
  const claimed = new Proxy(limits, {
    get: (_, name) => (name === "maxStorageBufferBindingSize" ? 2 ** 20 : Reflect.get(limits, name, limits)),
  });
  Object.defineProperty(narrow, "limits", { value: claimed });
  const bands = narrow.counters.dispatches;
  const banded = await latentOf(other);
  const used = narrow.counters.dispatches - bands;
  narrow.close();
  const before = device.counters.dispatches;
  const whole = await latentOf(model);
  expect(used).toBeGreaterThan(device.counters.dispatches - before + 10);
  expect(Math.max(...whole.map((value, i) => Math.abs(value - banded[i]!)))).toBeLessThan(1e-5);
});

describe("a run that ends early", () => {
  // The test before made a picture of another size: this brings back the stages that `live` was measured with.
  beforeAll(() => picture(model, { init: { image: init, strength: 0.9 } }));
  const inpaint = { mask: boxMask(8, 8, 40, 40) };

  test("aborted while the picture is encoded, or in a step: everything is given back", async () => {
    // text, U-Net's conditioning, VAE's encoder, two steps, decoder
    for (const last of [2, 3, 4, 5]) {
      const controller = new AbortController();
      const replay = device.replay.bind(device);
      let seen = 0;
      device.replay = (commands) => {
        replay(commands);
        if (++seen === last) controller.abort();
      };
      const ended = rejection(picture(model, { signal: controller.signal, init: { image: init, strength: 0.9, inpaint } }));
      expect((await ended).name).toBe("AbortError");
      device.replay = replay;
      await device.idle();
      expect([seen >= last, device.memory.liveBytes]).toEqual([true, live]);
    }
  });

  test("left by its consumer", async () => {
    const options = { width: 64, height: 64, steps: 3, seed: 3n, init: { image: init, strength: 0.9, inpaint } };
    for await (const { step } of model.generate("a red fox", options)) if (step === 1) break;
    expect(device.memory.liveBytes).toBe(live);
  });

  test("pictures that are none", async () => {
    const bad = { ...init, data: init.data.subarray(1) };
    expect((await rejection(picture(model, { init: { image: bad } }))).code).toBe("INVALID_INIT");
    expect((await rejection(picture(model, { init: { image: init, inpaint: { mask: bad } } }))).code).toBe("INVALID_INIT");
  });
});

describe("inpaint", () => {
  test.each([
    ["dpmpp_2m", "original", 4],
    ["euler_ancestral", "fill", 4],
    ["ddim", "noise", 0],
    ["lcm", "nothing", 2],
  ] as const)("%s, %s: pixels whose blurred mask is 0 stay, the others change", async (sampler, fill, blur) => {
    const mask = boxMask(20, 12, 44, 40);
    const { image } = await made({ sampler, steps: 3, init: { image: init, strength: 0.9, inpaint: { mask, fill, blur } } });
    const { data } = gaussianBlur(mask, blur);
    let changed = 0;
    for (let p = 0; p < data.length; p++) {
      const pixel = [image.pixels.slice(4 * p, 4 * p + 4), init.data.slice(4 * p, 4 * p + 4)];
      if (data[p] === 0) expect(pixel[0]).toEqual(pixel[1]);
      else if (String(pixel[0]) !== String(pixel[1])) changed++;
    }
    expect(changed).toBeGreaterThan(200);
  });

  test("the known part of the latent comes out as it went in", async () => {
    const mask = boxMask(0, 0, 32, 64);
    const whole = await made({ init: { image: init, strength: 0 } });
    for (const sampler of ["heun", "ddpm", "plms", "euler_cfg_pp"]) {
      const { image } = await made({ sampler, steps: 3, init: { image: init, strength: 1, inpaint: { mask } } });
      const right = image.latent.filter((_, i) => i % 8 >= 4);
      expect(right).toEqual(whole.image.latent.filter((_, i) => i % 8 >= 4));
    }
  });

  test("inverted, an empty mask becomes all of the picture", async () => {
    const empty = boxMask(0, 0, 0, 0);
    const { image } = await made({ init: { image: init, strength: 1, inpaint: { mask: empty } } });
    expect(image.pixels).toEqual(init.data);
    expect(image.warnings.join()).toContain("empty");
    const all = await made({ init: { image: init, strength: 1, inpaint: { mask: empty, invert: true, blur: 0 } } });
    expect(all.image.pixels).toEqual((await made({})).image.pixels);
  });

  test("only masked: a region of a larger picture, the rest of it untouched", async () => {
    const size = 200;
    const data = Uint8Array.from({ length: 3 * size * size }, (_, i) => (i * 7 + (i >> 6)) & 255);
    const photo = { width: size, height: size, channels: 3, data };
    const mask = boxMask(100, 90, 130, 120, size);
    const inpaint = { mask, onlyMasked: true, padding: 8, blur: 2 };
    const { image } = await made({ init: { image: photo, strength: 0.8, inpaint } });
    expect([image.width, image.height, image.latent.length]).toEqual([size, size, 4 * 8 * 8]);
    const blurred = gaussianBlur(mask, 2).data;
    let changed = 0;
    for (let p = 0; p < size * size; p++) {
      const same = [0, 1, 2].every((c) => image.pixels[4 * p + c] === data[3 * p + c]);
      if (blurred[p] === 0) expect(same).toBe(true);
      else if (!same) changed++;
    }
    expect(changed).toBeGreaterThan(500);
  });
});
