import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PNG } from "pngjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openFile } from "../../cli/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { type GeneratedImage, StableDiffusion } from "../../model/index.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedModel } from "./cases.ts";
import { psnr, rgb } from "./psnr.ts";

/** Made by diffusers and k-diffusion in f32 from the embedded checkpoint. */
interface Reference {
  readonly file: string;
  readonly prompt: string;
  readonly negative: string;
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  readonly sampler: string;
  readonly schedule: string;
  readonly width?: number;
  readonly height?: number;
}

const folder = new URL("../fixtures/reference/", import.meta.url);
const references: Reference[] = JSON.parse(readFileSync(new URL("index.json", folder), "utf8"));

let device: Device;
let model: StableDiffusion;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  const source = await openFile(embeddedModel);
  model = await StableDiffusion.load(source, { device });
});
afterAll(() => {
  model.free();
  device.close();
});

async function make(reference: Reference, noise: Float32Array | undefined): Promise<GeneratedImage> {
  const { prompt, negative, seed, steps, guidance, sampler, schedule, width, height } = reference;
  const generating = model.generate(prompt, {
    negative,
    seed: BigInt(seed),
    steps,
    guidance,
    sampler,
    schedule: schedule === "" ? undefined : schedule,
    width,
    height,
    noise,
  });
  let step = await generating.next();
  while (!step.done) step = await generating.next();
  return step.value;
}

/** The recorded noise, where there is a file of it; else the seed must give it. */
async function noiseOf(reference: Reference): Promise<Float32Array | undefined> {
  const path = fileURLToPath(new URL(reference.file.replace(".png", ".noise.safetensors"), folder));
  if (!existsSync(path)) return undefined;
  const source = await openFile(path);
  const file = await openSafetensors(source);
  const values = await readValues(file, [...file.tensors.keys()][0]!);
  await source.close();
  return values;
}

it.each(references)("$prompt, $sampler: at least 55 dB", async (reference) => {
  const expected = PNG.sync.read(readFileSync(new URL(reference.file, folder)));
  const made = await make(reference, await noiseOf(reference));
  expect([made.width, made.height]).toEqual([expected.width, expected.height]);
  const decibels = psnr(rgb(made.pixels), rgb(expected.data));
  console.info(`${reference.file}: ${decibels.toFixed(1)} dB`);
  expect(decibels).toBeGreaterThanOrEqual(55);
});
