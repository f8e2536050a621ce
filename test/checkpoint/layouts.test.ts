/** @file The same model as single file, shards and diffusers folder: identical latents. */
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { openModelSource } from "../../cli/models/model-source.ts";
import type { Device } from "../../engine/index.ts";
import { type ModelConfig, readConfig } from "../../model/checkpoint/config.ts";
import { openModelFile, openVaeFile } from "../../model/checkpoint/open.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { type LoadOptions, StableDiffusion } from "../../model/index.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedModel, fixture, missingFixtures } from "../model/cases.ts";
import { skipped } from "../skip.ts";
import { readTensors, writeDiffusers, writeShards } from "./as-folders.ts";

let device: Device;
let folder = "";
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  folder = mkdtempSync(join(tmpdir(), "limn-layouts-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The latent of two steps, and the configuration. */
async function latentOf(path: string, options: Partial<LoadOptions> = {}) {
  const source = await openModelSource(path);
  const size = { width: 64, height: 64 };
  const model = await StableDiffusion.load(source, { device, picture: size, ...options });
  try {
    const generation = model.generate("a red apple", { ...size, steps: 2, seed: 7n, guidance: 3 });
    let step = await generation.next();
    while (!step.done) step = await generation.next();
    const unused = model.model.checkpoints.flatMap((checkpoint) => checkpoint.unused);
    return { latent: step.value.latent, pixels: step.value.pixels, config: model.config, unused };
  } finally {
    model.free();
    await source.close();
  }
}

async function rewrite(path: string, stem: string) {
  const source = await openFile(path);
  const file = await openSafetensors(source);
  const tensors = await readTensors(file);
  const config = await readConfig(file);
  const metadata = Object.fromEntries([...file.metadata].filter(([key]) => key.startsWith("limn.")));
  await source.close();
  const at = (name: string) => join(folder, `${stem}-${name}`);
  return { tensors, config, metadata, all: Object.fromEntries(file.metadata), at };
}

/** Bit for bit; says where they differ first, not all of both. */
function same(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  const at = Array.from(actual).findIndex((value, i) => !Object.is(value, expected[i]));
  expect([at, actual[at]]).toEqual([-1, undefined]);
}

/** What the modules are made from; paths and where a fact was read are no part of it. */
const facts = ({ unet, vae, schedule, defaults, prediction, variant }: ModelConfig) => ({
  unet,
  vae: { ...vae, prefix: "" },
  schedule,
  defaults,
  prediction,
  variant,
});

describe("the embedded checkpoint", () => {
  test("single file, shards by index and by folder, diffusers folder, its variants: the same latent", async () => {
    const { tensors, config, metadata, all, at } = await rewrite(embeddedModel, "emoji");
    const index = writeShards(at("shards"), tensors, all);
    writeDiffusers(at("diffusers"), tensors, config, metadata);
    writeDiffusers(at("fp16"), tensors, config, metadata, { variant: "fp16", oldVae: true });
    writeDiffusers(at("sharded-unet"), tensors, config, metadata, { sharded: true });
    const single = await latentOf(embeddedModel);
    for (const path of [index, at("shards"), at("diffusers"), at("fp16"), at("sharded-unet")]) {
      const other = await latentOf(path);
      same(other.latent, single.latent);
      same(other.pixels, single.pixels);
      expect(facts(other.config)).toEqual(facts(single.config));
      expect(other.unused).toEqual([]);
    }
  });
  test("a VAE from a diffusers folder, its folder vae, and its file", async () => {
    const diffusers = join(folder, "emoji-diffusers");
    const single = await latentOf(embeddedModel);
    for (const path of [diffusers, join(diffusers, "vae")]) {
      const vae = await openModelSource(path);
      const other = await latentOf(embeddedModel, { vae });
      same(other.pixels, single.pixels);
      await vae.close();
    }
    const file = await openModelSource(join(diffusers, "vae/diffusion_pytorch_model.safetensors"));
    const { tensors } = await openVaeFile(file);
    expect(tensors.get("decoder.mid.attn_1.proj_out.weight")?.shape).toHaveLength(2);
    expect([...tensors.keys()].filter((name) => /blocks|resnets|attentions|to_/.test(name))).toEqual([]);
    await file.close();
  });
});

describe.skipIf(skipped("layouts of other families", missingFixtures))("families", () => {
  test.each(["sd1-tiny", "sd2-tiny", "sdxl-tiny"])("%s as a diffusers folder: the same latent", async (name) => {
    const path = fixture(name).model;
    const { tensors, config, metadata, at } = await rewrite(path, name);
    writeDiffusers(at("diffusers"), tensors, config, metadata);
    const single = await latentOf(path);
    const other = await latentOf(at("diffusers"));
    same(other.latent, single.latent);
    expect(facts(other.config)).toEqual(facts(single.config));
    expect(other.unused).toEqual([]);
  });
  test("sd1-inpaint-tiny as a diffusers folder: nine channels", async () => {
    const { tensors, config, metadata, at } = await rewrite(fixture("sd1-inpaint-tiny").model, "inpaint");
    writeDiffusers(at("diffusers"), tensors, config, metadata);
    const source = await openModelSource(at("diffusers"));
    const found = await readConfig(await openModelFile(source));
    expect([found.variant, found.inChannels]).toEqual(["inpaint", 9]);
    await source.close();
  });
});

test("a folder that holds one file is that file", async () => {
  const { tensors, all, at } = await rewrite(embeddedModel, "alone");
  const index = writeShards(at("folder"), tensors, all);
  rmSync(index);
  const source = await openModelSource(at("folder"));
  await expect(openModelFile(source)).rejects.toMatchObject({
    code: "FS_NOT_A_FILE",
    hint: expect.stringContaining("model-00001-of-00003.safetensors"),
  });
  for (const n of [2, 3]) renameSync(join(at("folder"), `model-0000${n}-of-00003.safetensors`), join(at("folder"), `${n}.bin`));
  const one = await openModelSource(at("folder"));
  expect((await openModelFile(one)).tensors.size).toBe(Math.ceil(tensors.size / 3));
  await Promise.all([source.close(), one.close()]);
});
