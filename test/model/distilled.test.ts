/** @file Models distilled to a few steps (SDXL-Turbo, Lightning, LCM): one to eight steps without guidance, from the last timestep on. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { type GenerateOptions, StableDiffusion } from "../../model/index.ts";
import { createDevice, loadSmall, picture } from "../reliability/picture.ts";
import { skipped } from "../skip.ts";
import { fixture, missingFixtures } from "./cases.ts";

let device: Device;
let model: StableDiffusion;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  model = await loadSmall(device);
});
afterAll(() => {
  model.free();
  device.close();
});

const turbo = { guidance: 1, schedule: "trailing", sampler: "euler_a", seed: 7n } as const;

/** Largest difference, relative to the largest value. */
function distance(a: Float32Array, b: Float32Array): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / Math.max(...b.map(Math.abs));
}

async function latent(options: GenerateOptions, of = model): Promise<Float32Array> {
  const made = await picture(of, { ...turbo, ...options });
  expect(made.latent.every(Number.isFinite)).toBe(true);
  return made.latent;
}

it("one step is the model's own answer, whichever sampler asks", async () => {
  const answer = await latent({ steps: 1 });
  // Samplers that end in D(x; sigma) where the next sigma is 0; the first step is the last.
  for (const sampler of ["euler", "heun", "dpmpp_2m", "dpmpp_sde"])
    expect(distance(await latent({ steps: 1, sampler }), answer), sampler).toBeLessThan(1e-4);
  // In VP space it starts from unit noise, as diffusers does: 0.2 % more than sigma times noise comes to there.
  expect(distance(await latent({ steps: 1, sampler: "ddim_trailing", schedule: undefined }), answer)).toBeLessThan(1e-2);
});

it("has no negative prompt, and runs the U-Net for one sample", async () => {
  const plain = await latent({ steps: 1 });
  const dispatches = model.dispatchesPerStep;
  expect(await latent({ steps: 1, negative: "blurry, ugly" })).toEqual(plain);
  expect(model.dispatchesPerStep).toBe(dispatches);
});

it.each(["euler_a", "lcm", "dpmpp_sde"])("%s: one to eight steps, each another picture", async (sampler) => {
  const made: Float32Array[] = [];
  for (const steps of [1, 2, 4, 8]) {
    const seen: number[] = [];
    const { latent: values } = await picture(model, { ...turbo, sampler, steps }, (step) => seen.push(step));
    expect(seen).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
    for (const other of made) expect(values).not.toEqual(other);
    made.push(values);
  }
});

it.skipIf(skipped("SDXL without guidance", missingFixtures))("SDXL without guidance in one step", async () => {
  const source = await openFile(fixture("sdxl-tiny").model);
  const xl = await StableDiffusion.load(source, { device, picture: { width: 64, height: 64, guidance: 1 } });
  try {
    const one = await latent({ steps: 1 }, xl);
    expect(await latent({ steps: 1 }, xl)).toEqual(one);
    expect(await latent({ steps: 4 }, xl)).not.toEqual(one);
  } finally {
    xl.free();
    await source.close();
  }
});
