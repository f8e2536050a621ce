/** @file What `limn plan` says before, what a model says it planned, and what the GPU then held: never more, and hardly less. */
import { afterEach, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device, DeviceOptions } from "../../engine/index.ts";
import type { Raster } from "../../model/image/index.ts";
import { type GenerateOptions, openLora, StableDiffusion } from "../../model/index.ts";
import { planModel } from "../../model/plan/plan.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedModel, fixture, missingFixtures } from "../model/cases.ts";

const sd1 = fixture("sd1-tiny").model;
const sdxl = fixture("sdxl-tiny").model;
const image = { width: 64, height: 64, channels: 3, data: Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => i % 251) } as const;

/** Decoded and encoded again; what it gives is resized. */
const asItIs = { name: "none", upscale: async (picture: Raster) => picture };

interface Case {
  readonly what: string;
  readonly path: string;
  readonly device?: DeviceOptions;
  readonly refiner?: string;
  readonly lowMemory?: boolean;
  readonly lora?: string;
  readonly pictures?: readonly GenerateOptions[];
  /** That `limn plan` is not asked about: its figure is another picture's. */
  readonly unasked?: boolean;
}

const cases: readonly Case[] = [
  { what: "a picture", path: embeddedModel },
  { what: "two pictures, the second larger", path: embeddedModel, pictures: [{}, { width: 128, height: 64 }], unasked: true },
  { what: "a picture from a picture", path: embeddedModel, pictures: [{ init: { image, strength: 0.5 } }] },
  { what: "two passes", path: embeddedModel, pictures: [{ hires: { scale: 2, upscaler: asItIs } }], unasked: true },
  { what: "a refiner", path: embeddedModel, refiner: embeddedModel },
  { what: "a refiner, --low-memory", path: embeddedModel, refiner: embeddedModel, lowMemory: true },
  { what: "SD 1", path: sd1 },
  { what: "SD 1 where the GPU unpacks weights", path: sd1, device: { tier: "f32" } },
  { what: "SD 1 with a LoRA", path: sd1, lora: sd1.replace(".safetensors", ".loha.safetensors"), unasked: true },
  { what: "SDXL", path: sdxl },
  { what: "SDXL with a refiner", path: sdxl, refiner: sdxl },
];

describe("GPU bytes", () => {
  let device: Device | undefined;
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    device?.close();
    for (const source of open.splice(0)) await source.close();
  });

  async function opened(path: string) {
    const source = await openFile(path);
    open.push(source);
    return source;
  }

  test.for(cases)(
    "$what",
    async ({ path, device: options, refiner, lowMemory = false, lora, pictures = [{}], unasked }, { skip }) => {
      if (path !== embeddedModel && missingFixtures) skip(missingFixtures);
      device = await createDevice({ precision: "f32", ...options });
      const size = { width: 64, height: 64, guidance: 4 };
      const plan = await planModel(await opened(path), device, {
        ...{ tier: device.tier, precision: device.storage, size, lowMemory },
        ...{
          refiner: refiner === undefined ? undefined : await opened(refiner),
          fromPicture: pictures.some(({ init }) => init !== undefined),
        },
      });
      const before = device.memory.totalBytes;
      const load = async (path: string) =>
        StableDiffusion.load(await opened(path), { device: device!, picture: size, lowMemory });
      const model = await load(path);
      const second = refiner === undefined ? undefined : await load(refiner);
      const loras = lora === undefined ? [] : [{ lora: await openLora(await opened(lora)), text: 1, unet: 1 }];
      for (const picture of pictures) {
        const more = { refiner: second && { model: second, at: 0.5 }, loras, ...picture };
        const generating = model.generate("a red fox", { ...size, steps: 2, seed: 1n, ...more });
        for (let step = await generating.next(); !step.done; ) step = await generating.next();
      }
      const taken = device.memory.peakBytes - before;
      const figures = { planned: model.plannedBytes, ...(unasked ? {} : { limnPlan: plan.totalBytes }) };
      for (const [name, bytes] of Object.entries(figures)) {
        expect(bytes, `${name}, of ${taken} taken`).toBeGreaterThanOrEqual(taken);
        expect(bytes, `${name}, of ${taken} taken`).toBeLessThan(1.1 * taken);
      }
      if (refiner) expect(plan.phases.at(-1)).toMatchObject({ phase: "refiner", dispatches: second!.dispatchesPerStep });
      second?.free();
      model.free();
    },
  );

  test("the refiner's weights are counted, and one of other latents is refused", async ({ skip }) => {
    if (missingFixtures) skip(missingFixtures);
    device = await createDevice();
    const alone = await planModel(await opened(sdxl), device);
    const both = await planModel(await opened(sdxl), device, { refiner: await opened(sdxl) });
    expect(both.weightBytes).toBe(2 * alone.weightBytes);
    expect(both.activationBytes).toBeLessThan(1.2 * alone.activationBytes);
    await expect(planModel(await opened(sdxl), device, { refiner: await opened(sd1) })).rejects.toMatchObject({
      code: "REFINER_MISMATCH",
    });
  });
});
