/** @file Row 45 of the fault catalogue: NaN and infinity never become a picture. A stage that overflows in f16 is run again in f32. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exitCodeOf, exitCodes } from "../../cli/terminal/exit-codes.ts";
import { type Device, NonFiniteError, type Tensor } from "../../engine/index.ts";
import type { StableDiffusion } from "../../model/index.ts";
import { createDevice, loadSmall, picture, rejection } from "./picture.ts";

/** A norm's gain behind which every stage still has a matrix product or a convolution. */
const gains = {
  text: "cond_stage_model.transformer.text_model.final_layer_norm",
  unet: "model.diffusion_model.out.0",
  vae: "first_stage_model.decoder.norm_out",
} as const;
type StageName = keyof typeof gains;
const words = { text: "text encoder", unet: "U-Net", vae: "VAE" } as const;

function gainOf(model: StableDiffusion, stage: StageName): Tensor {
  return model.model.checkpoints[0]!.weights.at(gains[stage]).vector("weight");
}

/** Runs `work` with every element of a gain replaced. */
async function withGain<T>(
  model: StableDiffusion,
  stage: StageName,
  value: (gain: number) => number,
  work: () => Promise<T>,
): Promise<T> {
  const gain = gainOf(model, stage);
  const original = await gain.read();
  const write = (values: Float32Array) => {
    model.device.write(gain, values);
    model.loaded.encoded.clear(); // of prompts that were encoded with the other gain
  };
  write(original.map(value));
  try {
    return await work();
  } finally {
    write(original);
  }
}

describe("f32", () => {
  let device: Device;
  let model: StableDiffusion;
  let live = 0;
  beforeAll(async () => {
    device = await createDevice({ precision: "f32" });
    model = await loadSmall(device);
    live = device.memory.liveBytes;
  });
  afterAll(() => device.close());

  for (const stage of ["text", "unet", "vae"] as const) {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      test(`${bad} in the ${words[stage]} is named, with exit code 8`, async () => {
        const steps: number[] = [];
        const error = await withGain(
          model,
          stage,
          () => bad,
          () => rejection(picture(model, {}, (step) => steps.push(step))),
        );
        expect(error).toBeInstanceOf(NonFiniteError);
        expect(error).toMatchObject({ code: "NON_FINITE", message: expect.stringContaining(words[stage]) });
        expect(error.context).toMatchObject(stage === "unet" ? { stage, step: 1 } : { stage });
        if (stage === "unet") expect(error.message).toContain("at step 1");
        expect(exitCodeOf(error)).toBe(exitCodes.nonFinite);
        expect(device.memory.liveBytes).toBe(live);
      });
    }
  }

  test("a weight that goes bad at step 2 is named with that step", async () => {
    const gain = gainOf(model, "unet");
    const original = await gain.read();
    const error = await rejection(
      picture(model, { steps: 4 }, (step) => {
        if (step === 1)
          device.write(
            gain,
            original.map(() => Number.NaN),
          );
      }),
    );
    device.write(gain, original);
    expect(error.context).toMatchObject({ stage: "unet", step: 2 });
  });

  test("the next picture is not blamed for the last one", async () => {
    expect((await picture(model)).pixels.length).toBe(4 * 64 * 64);
  });
});

describe("f16", () => {
  let half: Device;
  let full: Device;
  let wide: StableDiffusion;
  let skipped = "";
  beforeAll(async () => {
    full = await createDevice({ precision: "f32" });
    wide = await loadSmall(full);
    if (full.features.has("shader-f16")) half = await createDevice({ precision: "f16" });
    else skipped = `this adapter (${full.info.description}) has no shader-f16`;
  });
  afterAll(() => {
    full.close();
    half?.close();
  });
  beforeEach(({ skip }) => {
    if (skipped) skip(skipped);
  });

  test.each(["text", "unet", "vae"] as const)("a gain of 1e6 in the %s overflows f16: it is run again in f32", async (stage) => {
    const model = await loadSmall(half);
    const huge = (gain: number) => gain * 1e6;
    const image = await withGain(model, stage, huge, () => picture(model));
    expect(image.warnings).toContain(`the ${words[stage]} overflowed in f16: run again in f32`);
    const expected = await withGain(wide, stage, huge, () => picture(wide));
    expect(expected.warnings).toEqual([]);
    // Saturated by the gain, nearly every value is 0 or 255.
    const off = image.pixels.filter((value, i) => Math.abs(value - expected.pixels[i]!) > 8).length;
    expect(off / image.pixels.length).toBeLessThan(0.05);
    // It stays so: the next picture overflows nowhere.
    expect((await withGain(model, stage, huge, () => picture(model))).warnings).toEqual([]);
    model.free();
    expect(half.memory.liveBytes).toBe(0);
  });

  test("what was needed is remembered for the checkpoint, and only once a picture came out well", async () => {
    const kept = new Map<string, readonly string[]>();
    const precisions = {
      recall: async (checkpoint: string) => kept.get(checkpoint) ?? [],
      remember: async (checkpoint: string, stages: readonly string[]) => void kept.set(checkpoint, stages),
    };
    const huge = (gain: number) => gain * 1e6;
    const first = await loadSmall(half, { precisions });
    await withGain(
      first,
      "vae",
      () => Number.NaN,
      () => rejection(picture(first)),
    );
    expect(kept.size).toBe(0);
    first.free();
    const second = await loadSmall(half, { precisions });
    expect((await withGain(second, "vae", huge, () => picture(second))).warnings.join()).toContain("VAE overflowed");
    expect([...kept]).toEqual([[expect.stringMatching(/^[0-9a-f]{64}$/), ["vae"]]]);
    second.free();
    const third = await loadSmall(half, { precisions });
    expect((await withGain(third, "vae", huge, () => picture(third))).warnings).toEqual([]);
    third.free();
    expect(half.memory.liveBytes).toBe(0);
  });

  test("the VAE may be asked to work in f32 from the start (46)", async () => {
    const model = await loadSmall(half, { vaePrecision: "f32" });
    const huge = (gain: number) => gain * 1e6;
    expect((await withGain(model, "vae", huge, () => picture(model))).warnings).toEqual([]);
    model.free();
    const mixed = await loadSmall(full, { vaePrecision: "f16" });
    const image = await withGain(mixed, "vae", huge, () => picture(mixed));
    expect(image.warnings.join()).toContain("VAE overflowed");
    mixed.free();
  });

  test("what is infinite in f32 too is an error", async () => {
    const model = await loadSmall(half);
    const infinite = () => Number.POSITIVE_INFINITY;
    const error = await withGain(model, "unet", infinite, () => rejection(picture(model)));
    expect(error.context).toMatchObject({ stage: "unet", step: 1 });
    expect(error.hint).not.toContain("--precision f32");
    model.free();
    expect(half.memory.liveBytes).toBe(0);
  });
});
