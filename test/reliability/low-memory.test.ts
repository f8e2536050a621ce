/** @file Text encoder and VAE off the GPU while they have nothing to do (--low-memory): the same pictures in less memory. */
import { expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { GeneratedImage, GenerateOptions, LoadOptions } from "../../model/index.ts";
import { planModel } from "../../model/plan/plan.ts";
import { createDevice, embeddedModel, loadSmall, picture, small } from "./picture.ts";

interface Made {
  readonly pictures: readonly GeneratedImage[];
  /** GPU bytes in the middle of the U-Net's steps. */
  readonly between: number;
  readonly peak: number;
  readonly planned: number;
}

async function made(load: Partial<LoadOptions>, wanted: readonly GenerateOptions[]): Promise<Made> {
  const device = await createDevice({ precision: "f32" });
  const model = await loadSmall(device, load);
  const pictures: GeneratedImage[] = [];
  let between = 0;
  for (const options of wanted) {
    pictures.push(
      await picture(model, options, () => {
        between = Math.max(between, device.memory.totalBytes);
      }),
    );
  }
  const [peak, planned] = [device.memory.peakBytes, model.plannedBytes];
  model.free();
  expect(device.memory.liveBytes).toBe(0);
  expect(device.activationBytes).toBe(0);
  device.close();
  return { pictures, between, peak, planned };
}

const image = { width: 64, height: 64, channels: 3, data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => i % 251) } as const;

test("the same pictures from prompts and pictures; text encoder and VAE are away during the steps", async () => {
  const wanted: GenerateOptions[] = [{}, { negative: "blue", steps: 1 }, { init: { image, strength: 0.5 } }, {}];
  const usual = await made({}, wanted);
  const low = await made({ lowMemory: true }, wanted);
  for (const [i, { pixels }] of low.pictures.entries())
    expect(Buffer.compare(pixels, usual.pictures[i]!.pixels), `picture ${i}`).toBe(0);
  expect(low.between).toBeLessThan(0.8 * usual.between);
  expect(low.peak).toBeLessThan(usual.peak);
  expect(low.planned).toBeLessThan(usual.planned);
  for (const { peak, planned } of [usual, low]) {
    expect(peak).toBeLessThanOrEqual(planned);
    expect(planned).toBeLessThanOrEqual(1.1 * peak);
  }
});

test.each([{ lowMemory: false }, { lowMemory: true }])(
  "limn plan: at most a tenth above the truth, never below (%j)",
  async (how) => {
    const device = await createDevice({ precision: "f32" });
    const size = { width: 192, height: 128, vaeTile: 128 } as const;
    const plan = await planModel(await openFile(embeddedModel), device, { ...how, size, precision: "f32" });
    const model = await loadSmall(device, { ...how, picture: size });
    await picture(model, { ...size, steps: 2 });
    const { peakBytes } = device.memory;
    console.info(
      `${JSON.stringify(how)}: planned ${plan.totalBytes}, taken ${peakBytes}: ${(plan.totalBytes / peakBytes).toFixed(3)}`,
    );
    expect(plan.totalBytes).toBeGreaterThanOrEqual(peakBytes);
    expect(plan.totalBytes).toBeLessThanOrEqual(1.1 * peakBytes);
    model.free();
    device.close();
  },
);

test("of a picture made from another one the encoder counts, too", async () => {
  const device = await createDevice({ precision: "f32" });
  const source = await openFile(embeddedModel);
  const like = { precision: "f32", size: small } as const;
  const plain = await planModel(source, device, like);
  const plan = await planModel(source, device, { ...like, fromPicture: true });
  expect(plan.weightBytes).toBeGreaterThan(plain.weightBytes);
  const model = await loadSmall(device);
  await picture(model, { init: { image, strength: 0.5 } });
  const { peakBytes } = device.memory;
  console.info(`planned ${plan.totalBytes}, taken ${peakBytes}: ${(plan.totalBytes / peakBytes).toFixed(3)}`);
  expect(plan.totalBytes).toBeGreaterThanOrEqual(peakBytes);
  expect(plan.totalBytes).toBeLessThanOrEqual(1.1 * peakBytes);
  model.free();
  device.close();
});
