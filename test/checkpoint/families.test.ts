/** @file Row 19: the variants of the families, made from the fixtures' headers; names that older and other tools write. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { type ByteSource, MemorySource } from "../../model/checkpoint/byte-source.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openModelFile } from "../../model/checkpoint/open.ts";
import { openSafetensors, type SafetensorsFile, type TensorEntry } from "../../model/checkpoint/safetensors.ts";
import { type GenerateOptions, StableDiffusion } from "../../model/index.ts";
import { guidanceEmbedding } from "../../model/unet/guidance-embedding.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedModel, fixture, missingFixtures } from "../model/cases.ts";
import { skipped } from "../skip.ts";
import { readTensors } from "./as-folders.ts";
import { safetensors, type TestTensor } from "./build-file.ts";

/** The header of a fixture, with some tensors' names or shapes changed, or left out (undefined). */
async function changed(name: string, change: (entry: TensorEntry) => TensorEntry | undefined): Promise<SafetensorsFile> {
  const source = await openFile(fixture(name).model);
  const file = await openSafetensors(source);
  await source.close();
  const entries = [...file.tensors.values()].flatMap((entry) => change(entry) ?? []);
  return { ...file, tensors: new Map(entries.map((entry) => [entry.name, entry])) };
}

describe.skipIf(skipped("families by header", missingFixtures))("by header", () => {
  test("instruct-pix2pix: eight channels", async () => {
    const file = await changed("sd1-tiny", (entry) =>
      entry.name.endsWith("diffusion_model.input_blocks.0.0.weight") ? { ...entry, shape: [32, 8, 3, 3] } : entry,
    );
    const config = await readConfig(file);
    expect([config.family, config.variant, config.inChannels]).toEqual(["sd1", "pix2pix", 8]);
  });

  test("the XL refiner: one OpenCLIP encoder, its width the context's", async () => {
    const file = await changed("sdxl-tiny", (entry) => {
      if (entry.name.startsWith("conditioner.embedders.0.")) return undefined;
      const name = entry.name.replace("conditioner.embedders.1.", "conditioner.embedders.0.");
      const isContext = /attn2\.to_[kv]\.weight$/.test(name);
      return { ...entry, name, shape: isContext ? [entry.shape[0]!, 128] : entry.shape };
    });
    const config = await readConfig(file);
    expect([config.family, config.text.length, config.text[0]?.pooled, config.text[0]?.output]).toEqual([
      "sdxl-refiner",
      1,
      true,
      "penultimate",
    ]);
    expect([config.unet.contextDim, config.vae.scaleFactor]).toEqual([128, 0.13025]);
  });

  test.each([
    [5, /depth/],
    [7, /upscaler/],
    [6, /6 input channels/],
  ])("%i channels: what it is", async (channels, what) => {
    const file = await changed("sd2-tiny", (entry) =>
      entry.name.endsWith("diffusion_model.input_blocks.0.0.weight")
        ? { ...entry, shape: [entry.shape[0]!, channels, 3, 3] }
        : entry,
    );
    await expect(readConfig(file)).rejects.toMatchObject({ code: "MODEL_UNSUPPORTED", message: expect.stringMatching(what) });
  });
});

describe("the embedded checkpoint under other names", () => {
  let device: Device;
  let tensors: ReadonlyMap<string, TestTensor>;
  let metadata: Record<string, string>;
  beforeAll(async () => {
    device = await createDevice({ precision: "f32" });
    const source = await openFile(embeddedModel);
    const file = await openSafetensors(source);
    tensors = await readTensors(file);
    metadata = Object.fromEntries(file.metadata);
    await source.close();
  });
  afterAll(() => device.close());

  const written = (change: (name: string) => string | undefined, more: readonly TestTensor[] = []): ByteSource => {
    const kept = [...tensors.values()].flatMap((tensor) => {
      const name = change(tensor.name);
      return name === undefined ? [] : [{ ...tensor, name }];
    });
    return new MemorySource(safetensors([...kept, ...more], metadata), "m.safetensors");
  };

  async function make(source: ByteSource, options: GenerateOptions = {}, vae?: ByteSource) {
    const size = { width: 64, height: 64 };
    const model = await StableDiffusion.load(source, { device, picture: size, vae });
    try {
      const generation = model.generate("a red apple", { ...size, steps: 1, seed: 7n, guidance: 3, ...options });
      let step = await generation.next();
      while (!step.done) step = await generation.next();
      return {
        made: [...step.value.latent, ...step.value.pixels],
        unused: model.model.checkpoints.flatMap(({ unused }) => unused),
      };
    } finally {
      model.free();
    }
  }

  test("old merges without `.text_model`, EMA copies beside the weights, a VAE with the prefix `vae.`", async () => {
    const plain = await make(written((name) => name));
    const weight = [...tensors.values()].find(({ name }) => name.endsWith("time_embed.0.weight"))!;
    const ema = [
      { ...weight, name: "model_ema.diffusion_modeltime_embed0weight" },
      { ...weight, name: "model_ema.decay" },
    ];
    const old = await make(written((name) => name.replace(".text_model.", "."), ema));
    expect(old).toEqual(plain);
    const vae = written((name) =>
      name.startsWith("first_stage_model.") ? name.replace("first_stage_model.", "vae.") : undefined,
    );
    expect(
      await make(
        written((name) => (name.startsWith("first_stage_model.") ? undefined : name)),
        {},
        vae,
      ),
    ).toEqual(plain);
  });

  test("LCM: the guidance scale is an input, and the U-Net runs once a step", async () => {
    const projection = (bytes: Uint8Array): TestTensor => ({
      name: "model.diffusion_model.time_embedding.cond_proj.weight",
      dtype: "F32",
      shape: [64, 16],
      bytes,
    });
    const zero = written((name) => name, [projection(new Uint8Array(64 * 16 * 4))]);
    const config = await readConfig(await openModelFile(zero));
    expect(config.unet.guidanceDim).toBe(16);
    const alone = await make(
      written((name) => name),
      { guidance: 1 },
    );
    expect(await make(zero, { guidance: 8 })).toEqual(alone);
    const ones = written((name) => name, [projection(new Uint8Array(Float32Array.from({ length: 1024 }, () => 0.1).buffer))]);
    expect((await make(ones, { guidance: 8 })).made).not.toEqual(alone.made);
  });
});

test("the guidance scale's embedding: sines of w from 1 down to 1/10000, then cosines", () => {
  const embedding = guidanceEmbedding(8.5, 256);
  const w = 7500;
  for (const [i, expected] of [
    [0, Math.sin(w)],
    [127, Math.sin(w / 10000)],
    [128, Math.cos(w)],
    [255, Math.cos(w / 10000)],
  ] as const)
    expect(embedding[i]).toBeCloseTo(expected, 6);
  expect([...guidanceEmbedding(1, 4)]).toEqual([0, 0, 1, 1]);
});
