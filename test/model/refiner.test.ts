import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FileSource, openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { type GeneratedImage, type GenerateOptions, MemorySource, StableDiffusion } from "../../model/index.ts";
import { isRefined } from "../../model/picture/refiner.ts";
import { aestheticScores, sizeVector } from "../../model/picture/size-vector.ts";
import { timestepEmbedding } from "../../model/unet/timestep-embedding.ts";
import { readTensors } from "../checkpoint/as-folders.ts";
import { safetensors, type TestTensor } from "../checkpoint/build-file.ts";
import { createDevice, loadSmall, rejection } from "../reliability/picture.ts";
import { skipped } from "../skip.ts";
import { fixture, missingFixtures } from "./cases.ts";

describe("whose noise level it is", () => {
  it("A1111's rule: from (999 - t) / 1000 = at on", () => {
    expect([200, 199, 198].map((timestep) => isRefined(timestep, 0.8, undefined))).toEqual([false, true, true]);
    expect([0, 999].map((timestep) => isRefined(timestep, 0, "a1111"))).toEqual([true, true]);
    expect(isRefined(0, 1, "a1111")).toBe(false);
  });

  it("diffusers' rule: below timestep round(1000 (1 - at))", () => {
    expect([201, 200, 199].map((timestep) => isRefined(timestep, 0.8, "diffusers"))).toEqual([false, false, true]);
  });
});

describe("the refiner's vector", () => {
  it("is pooled, height, width, crop and the aesthetic score", () => {
    const sizes = {
      original: { width: 1024, height: 768 },
      crop: { top: 8, left: 16 },
      target: { width: 512, height: 640 },
    };
    const pooled = [Float32Array.of(1, 2), Float32Array.of(3, 4)];
    const vector = sizeVector(pooled, sizes, 2 + 5 * 4, [aestheticScores.negative, aestheticScores.prompt]);
    const place = [768, 1024, 8, 16];
    const expected = [1, 2, ...timestepEmbedding([...place, 2.5], 4), 3, 4, ...timestepEmbedding([...place, 6], 4)];
    expect([...vector]).toEqual([...Float32Array.from(expected)]);
  });
});

async function make(model: StableDiffusion, options: GenerateOptions): Promise<GeneratedImage> {
  const generation = model.generate("a red [apple:leaf:0.5]", {
    width: 64,
    height: 64,
    steps: 6,
    seed: 7n,
    guidance: 3,
    ...options,
  });
  let step = await generation.next();
  while (!step.done) step = await generation.next();
  return step.value;
}

describe("a picture that two models make", () => {
  let device: Device;
  let base: StableDiffusion;
  let same: StableDiffusion;
  beforeAll(async () => {
    device = await createDevice();
    base = await loadSmall(device);
    same = await loadSmall(device);
  });
  afterAll(() => {
    base.free();
    same.free();
    device.close();
  });

  // The strictest test there is: the first model handing over to its twin, in the middle of a prompt that changes, alters nothing.
  it.each(["euler", "dpmpp_2m", "heun", "ddim", "euler_a"])("%s: is the same where both are the same model", async (sampler) => {
    const alone = await make(base, { sampler });
    const shared = await make(base, { sampler, refiner: { model: same, at: 0.5 } });
    expect(shared.latent).toEqual(alone.latent);
    expect(shared.settings.refinerAt).toBe(0.5);
    expect(alone.settings.refinerAt).toBeUndefined();
  });

  it("leaves the second model the whole picture at 0, and none of it at 1", async () => {
    for (const at of [0, 1]) {
      const { latent } = await make(base, { refiner: { model: same, at } });
      expect(latent).toEqual((await make(base, {})).latent);
    }
  });

  it("keeps the memory that is in use where it was", async () => {
    await make(base, { refiner: { model: same, at: 0.5 } });
    const { liveBytes } = device.memory;
    for (let i = 0; i < 2; i++) await make(base, { refiner: { model: same, at: 0.5 } });
    expect(device.memory.liveBytes).toBe(liveBytes);
  });

  it("refuses a share out of 0..1", async () => {
    expect(await rejection(make(base, { refiner: { model: same, at: 1.5 } }))).toMatchObject({ code: "INVALID_REFINER_AT" });
  });
});

/** SDXL's second encoder alone, its columns of the cross-attentions, and one embedded number less. */
function asRefiner(tensors: ReadonlyMap<string, TestTensor>): Uint8Array {
  const widths = { clip: 64, open: 128 };
  const kept = [...tensors.values()].flatMap((tensor): TestTensor[] => {
    if (tensor.name.startsWith("conditioner.embedders.0.")) return [];
    if (/attn2\.to_[kv]\.weight$/.test(tensor.name)) return [columns(tensor, widths.clip, widths.clip + widths.open)];
    if (tensor.name.endsWith("label_emb.0.0.weight")) {
      const adm = tensor.shape[1]!;
      return [columns(tensor, 0, adm - (adm - widths.open) / 6)];
    }
    return [{ ...tensor, name: tensor.name.replace("conditioner.embedders.1.", "conditioner.embedders.0.") }];
  });
  return safetensors(kept);
}

/** Columns begin..end-1 of an F16 matrix. */
function columns(tensor: TestTensor, begin: number, end: number): TestTensor {
  const [rows = 0, width = 0] = tensor.shape;
  const bytes = new Uint8Array(rows * (end - begin) * 2);
  for (let row = 0; row < rows; row++) {
    const from = row * width * 2;
    bytes.set(tensor.bytes.subarray(from + begin * 2, from + end * 2), row * (end - begin) * 2);
  }
  return { ...tensor, shape: [rows, end - begin], bytes };
}

describe.skipIf(skipped("SDXL and its refiner", missingFixtures))("SDXL", () => {
  let device: Device;
  let base: StableDiffusion;
  let refiner: StableDiffusion;
  let source: FileSource;
  beforeAll(async () => {
    device = await createDevice();
    const picture = { width: 64, height: 64 };
    source = await openFile(fixture("sdxl-tiny").model);
    base = await StableDiffusion.load(source, { device, picture });
    const bytes = asRefiner(await readTensors(await openSafetensors(source)));
    refiner = await StableDiffusion.load(new MemorySource(bytes, "refiner.safetensors"), { device, picture });
  });
  afterAll(async () => {
    base.free();
    refiner.free();
    device.close();
    await source.close();
  });

  it("a refiner with its own text encoder and vector takes over on the way", async () => {
    expect(refiner.config.family).toBe("sdxl-refiner");
    const [alone, early, late] = [
      await make(base, { sampler: "euler" }),
      await make(base, { sampler: "euler", refiner: { model: refiner, at: 0.5 } }),
      await make(base, { sampler: "euler", refiner: { model: refiner, at: 0.8 } }),
    ];
    for (const { latent } of [alone, early, late]) expect(latent.every(Number.isFinite)).toBe(true);
    expect(early.latent).not.toEqual(alone.latent);
    expect(late.latent).not.toEqual(alone.latent);
    expect(early.latent).not.toEqual(late.latent);
    // The less of it is the refiner's, the nearer the picture is to the first model's own.
    expect(distance(late, alone)).toBeLessThan(distance(early, alone));
  });

  it("refuses a model of another latent space", async () => {
    const small = await loadSmall(device);
    try {
      const error = await rejection(make(base, { refiner: { model: small } }));
      expect(error).toMatchObject({ code: "REFINER_MISMATCH", message: expect.stringContaining("sd1") });
    } finally {
      small.free();
    }
  });

  it("the sizes that the model is told change the picture, and without any it is told the picture's own", async () => {
    const own = { original: { width: 64, height: 64 }, crop: { top: 0, left: 0 }, target: { width: 64, height: 64 } };
    const plain = await make(base, { steps: 2 });
    expect((await make(base, { steps: 2, sizes: own })).latent).toEqual(plain.latent);
    for (const sizes of [
      { original: { width: 512, height: 64 } },
      { original: { width: 64, height: 512 } },
      { crop: { top: 32, left: 0 } },
      { crop: { top: 0, left: 32 } },
      { target: { width: 1024, height: 64 } },
      { target: { width: 64, height: 1024 } },
    ]) {
      expect((await make(base, { steps: 2, sizes })).latent).not.toEqual(plain.latent);
    }
  });
});

function distance(a: GeneratedImage, b: GeneratedImage): number {
  return Math.hypot(...a.latent.map((value, i) => value - b.latent[i]!));
}
