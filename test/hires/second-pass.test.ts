/** @file The hires pass with the embedded checkpoint: what it starts from, what it is equal to, how its steps are counted. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import { interpolate } from "../../model/hires/index.ts";
import type { Raster } from "../../model/image/index.ts";
import type { GenerateOptions, StableDiffusion } from "../../model/index.ts";
import { newJob } from "../../model/picture/job.ts";
import { plainUpscaler } from "../../model/upscale/index.ts";
import { closeTo } from "../kernels/close.ts";
import { createDevice, loadSmall, picture, rejection } from "../reliability/picture.ts";

let device: Device;
let model: StableDiffusion;
let live = 0;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  model = await loadSmall(device);
  await picture(model, { hires: { scale: 1, denoise: 0, upscaler: plainUpscaler("none") } }); // loads the encoder
  await made({});
  live = device.memory.liveBytes;
});
afterAll(() => device.close());

async function made(options: GenerateOptions) {
  const steps: string[] = [];
  const run = model.generate("a red fox", { width: 64, height: 64, steps: 3, seed: 3n, guidance: 4, ...options });
  for (;;) {
    const next = await run.next();
    if (next.done) {
      return { ...next.value, counted: steps };
    }
    steps.push(`${next.value.step}/${next.value.steps}`);
  }
}

/** [1, 4, H, W] -> [1, H, W, 4] */
function channelsLast(planes: Float32Array): Float32Array {
  const pixels = planes.length / 4;
  return planes.map((_, i) => planes[(i % 4) * pixels + Math.floor(i / 4)]!);
}

test("with nothing to change, the latent is the first one enlarged", async () => {
  const first = await made({});
  const size = { width: 8, height: 8 };
  const second = await made({ hires: { scale: 1.5, denoise: 0, upscaler: "Latent (bicubic antialiased)" } });
  expect([second.width, second.height, second.counted]).toEqual([96, 96, ["1/3", "2/3", "3/3"]]);
  const expected = interpolate(channelsLast(first.latent), size, { width: 12, height: 12 }, { mode: "bicubic", antialias: true });
  closeTo(channelsLast(second.latent), expected, 1e-6);
});

test("a size of other proportions is cut out of the middle", async () => {
  const first = await made({});
  const second = await made({ hires: { width: 128, height: 64, denoise: 0, upscaler: "latent-nearest" } });
  expect([second.width, second.height, second.hires?.width]).toEqual([128, 64, 128]);
  const whole = interpolate(channelsLast(first.latent), { width: 8, height: 8 }, { width: 16, height: 16 }, { mode: "nearest" });
  expect(Array.from(channelsLast(second.latent))).toEqual(Array.from(whole.subarray(4 * 16 * 4, 12 * 16 * 4)));
});

test("by pixels it is img2img of the first picture with all of its steps, the seed's noise drawn anew", async () => {
  const first = await made({});
  const image: Raster = { width: 64, height: 64, channels: 4, data: first.pixels };
  for (const sampler of ["euler_a", "ddim"]) {
    const hires = { scale: 1, steps: 2, denoise: 0.6, sampler, upscaler: plainUpscaler("none") };
    const second = await made({ hires });
    expect(second.counted).toEqual(["1/5", "2/5", "3/5", "4/5", "5/5"]);
    const again = await made({ steps: 2, sampler, init: { image, strength: 0.6, stepRule: "exact" } });
    expect(second.pixels).toEqual(again.pixels);
  }
});

test("the upscaler sees the first picture, and what it makes is brought to the size", async () => {
  const first = await made({});
  const seen: Raster[] = [];
  const grey: Raster = { width: 256, height: 256, channels: 3, data: new Uint8Array(3 * 256 * 256).fill(128) };
  const upscaler = {
    name: "grey",
    upscale: async (one: Raster) => {
      seen.push(one);
      return grey;
    },
  };
  const second = await made({ hires: { scale: 2, denoise: 0, upscaler } });
  expect(seen.map(({ width, height }) => [width, height])).toEqual([[64, 64]]);
  expect(seen[0]!.data).toEqual(first.pixels.filter((_, i) => i % 4 !== 3));
  // The VAE's grey is not quite grey, but far from the fox.
  const rgb = second.pixels.filter((_, i) => i % 4 !== 3);
  const off = rgb.reduce((sum, value) => sum + Math.abs(value - 128), 0) / rgb.length;
  expect(off).toBeLessThan(40);
});

test("its own prompt, sampler, schedule, guidance; what is not said is the first pass's", () => {
  const options = {
    seed: 3n,
    width: 64,
    height: 64,
    steps: 8,
    sampler: "euler",
    schedule: "karras",
    guidance: 5,
    negative: "blue",
  };
  const own = { steps: 4, sampler: "heun", prompt: "a cat", negative: "red", guidance: 3 };
  const job = newJob(model, "a dog", { ...options, hires: own });
  expect(job.hires!.job.settings).toMatchObject({
    sampler: "heun",
    schedule: "karras",
    guidance: 3,
    steps: 4,
    strength: 0.7,
    stepRule: "exact",
  });
  expect(job.hires!.job.prompts.prompt.texts).toEqual(["a cat"]);
  expect(job.hires!.job.prompts.negative.texts).toEqual(["red"]);
  const plain = newJob(model, "a dog", { ...options, hires: {} }).hires!.job;
  expect(plain.settings).toMatchObject({ sampler: "euler", schedule: "karras", guidance: 5, steps: 8, width: 128 });
  expect(plain.prompts.prompt.texts).toEqual(["a dog"]);
  expect(plain.plan.sigmas.length).toBe(9);
  expect(plain.settings.seed).toBe(job.hires!.job.settings.seed);
});

test("sizes go by the VAE's cells, and what a sampler ignores is told once for both passes", () => {
  const { config, schedule, tokenizer } = model;
  const finer = { config: { ...config, vae: { ...config.vae, factor: 4 } }, schedule, tokenizer };
  const options = { width: 64, height: 64, steps: 2, sampler: "er_sde", eta: 0.5 };
  const job = newJob(finer, "a dog", { ...options, hires: { scale: 1.2 } });
  expect(job.hires!.job.settings).toMatchObject({ width: 76, height: 76 });
  expect(job.warnings).toEqual(["sampler er_sde takes no eta: eta 0.5 is ignored"]);
  expect(newJob(model, "a dog", { ...options, hires: { scale: 1.2 } }).hires!.job.settings.width).toBe(72);
});

// Call 5 is the last that still counts as step 5, as in the web UI.
test("prompt editing goes on in the second pass: 0.5 is over there, 1.5 is its middle", () => {
  const texts = (prompt: string) => {
    const { hires } = newJob(model, prompt, { steps: 10, sampler: "euler", hires: { steps: 10 } });
    return Array.from({ length: 10 }, (_, call) => hires!.job.prompts.prompt.at(call)[0]!.text).join("");
  };
  expect(texts("[a:b:0.5]")).toBe("bbbbbbbbbb");
  expect(texts("[a:b:1.5]")).toBe("aaaaaabbbb");
  expect(texts("[a:b:15]")).toBe("aaaaaabbbb");
});

describe("what can't be", () => {
  test.each<[GenerateOptions["hires"] & object, string]>([
    [{ scale: 0.5 }, "INVALID_HIRES_SCALE"],
    [{ scale: Number.NaN }, "INVALID_HIRES_SCALE"],
    [{ width: 32, height: 32 }, "INVALID_HIRES_SIZE"],
    [{ width: 100_000 }, "INVALID_HIRES_SIZE"],
    [{ width: 64.5 }, "INVALID_HIRES_SIZE"],
    [{ denoise: 1.1 }, "INVALID_HIRES_DENOISE"],
    [{ steps: 0.5 }, "INVALID_STEPS"],
    [{ upscaler: "wonder" }, "UNKNOWN_UPSCALER"],
    [{ sampler: "wonder" }, "UNKNOWN_SAMPLER"],
    [{ guidance: -1 }, "INVALID_GUIDANCE"],
  ])("%o", async (hires, code) => {
    expect((await rejection(picture(model, { hires }))).code).toBe(code);
  });

  test("a second pass behind img2img", async () => {
    const image: Raster = { width: 64, height: 64, channels: 3, data: new Uint8Array(3 * 64 * 64) };
    expect((await rejection(picture(model, { hires: {}, init: { image } }))).code).toBe("HIRES_WITH_INIT");
  });
});

test("a run that is left early, in either pass, gives its memory back", async () => {
  for (const last of [2, 5]) {
    const run = model.generate("a red fox", { width: 64, height: 64, steps: 3, seed: 3n, hires: { scale: 1.5 } });
    for await (const { step } of run) if (step === last) break;
  }
  await made({});
  expect(device.memory.liveBytes, "live bytes").toBe(live);
});
