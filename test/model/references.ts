/** @file Pictures that diffusers and k-diffusion made in f32 from the embedded checkpoint, and how limn makes the same. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PNG } from "pngjs";
import { openFile } from "../../cli/files/file-source.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import type { GeneratedImage, StableDiffusion } from "../../model/index.ts";
import { psnr, rgb } from "./psnr.ts";

export interface Reference {
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
export const references: Reference[] = JSON.parse(readFileSync(new URL("index.json", folder), "utf8"));

async function make(model: StableDiffusion, reference: Reference, noise: Float32Array | undefined): Promise<GeneratedImage> {
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

/** Makes a picture as its reference was made: decibels (PSNR) between the two. Throws where the sizes differ. */
export async function decibelsOf(model: StableDiffusion, reference: Reference): Promise<number> {
  const expected = PNG.sync.read(readFileSync(new URL(reference.file, folder)));
  const made = await make(model, reference, await noiseOf(reference));
  if (made.width !== expected.width || made.height !== expected.height)
    throw new RangeError(`made ${made.width} x ${made.height}, the reference is ${expected.width} x ${expected.height}`);
  const decibels = psnr(rgb(made.pixels), rgb(expected.data));
  console.info(`${reference.file}: ${decibels.toFixed(1)} dB`);
  return decibels;
}
