import { afterEach, describe, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { standIn } from "../../model/checkpoint/stand-in.ts";
import { StableDiffusion } from "../../model/index.ts";
import { planModel } from "../../model/plan/plan.ts";
import { createDevice } from "../kernels/harness.ts";
import { gpuLike } from "./capabilities.ts";
import { embeddedModel } from "./cases.ts";

const phase = (plan: Awaited<ReturnType<typeof planModel>>, name: string) => plan.phases.find((one) => one.phase === name)!;

describe("plan", () => {
  let device: Device | undefined;
  afterEach(() => device?.close());

  it("is what a picture then takes, and at most a tenth more", async () => {
    device = await createDevice();
    const size = { width: 128, height: 64, guidance: 7 };
    const source = await openFile(embeddedModel);
    const plan = await planModel(source, device, { tier: device.tier, precision: device.storage, size });
    const before = device.memory.totalBytes;
    const model = await StableDiffusion.load(source, { device, picture: size });
    const generating = model.generate("a red fox", { ...size, steps: 4, seed: 1n, sampler: "dpmpp_2m" });
    for (let step = await generating.next(); !step.done; ) step = await generating.next();
    const taken = device.memory.peakBytes - before;
    expect(plan.totalBytes).toBeGreaterThanOrEqual(taken);
    expect(plan.totalBytes).toBeLessThan(1.1 * taken);
    expect(plan.activationBytes).toBe(device.activationBytes);
    expect(phase(plan, "unet").dispatches).toBe(model.dispatchesPerStep);
    model.free();
    await source.close();
  });

  it("takes no memory of the device that it asks about", async () => {
    device = await createDevice();
    const before = device.memory.totalBytes;
    const plan = await planModel(standIn("sdxl"), device, { tier: device.tier, precision: device.storage });
    expect(plan.weightBytes).toBeGreaterThan(5e9);
    expect(device.memory.totalBytes).toBe(before);
  });

  it("SD 1.5 at 512x512 in f16 takes less than 3.5 GB, most of it weights", async () => {
    const plan = await planModel(standIn("sd15"), gpuLike(), { tier: "f16", precision: "f16" });
    expect(plan).toMatchObject({ width: 512, height: 512, precision: "f16", fits: true, problem: undefined });
    expect(plan.totalBytes).toBeLessThan(3.5e9);
    // 859.5 million parameters in two bytes, and what buffers are rounded up by.
    expect(phase(plan, "unet").weightBytes).toBeGreaterThan(2 * 859_520_964);
    expect(phase(plan, "unet").weightBytes).toBeLessThan(1.0625 * 2 * 859_700_000);
    expect(plan.totalBytes).toBeGreaterThan(plan.weightBytes + plan.activationBytes);
    for (const { peakActivationBytes } of plan.phases) expect(peakActivationBytes).toBeLessThanOrEqual(plan.activationBytes);
  });

  it("names the maps that are larger than a binding, and into how many bands they go", async () => {
    const size = { width: 512, height: 512 };
    const options = { tier: "f32", precision: "f32", size } as const;
    const small = await planModel(standIn("sd15"), gpuLike(), options);
    const { splits } = phase(small, "vae");
    // 512 x 512 pixels of 256 channels.
    expect(splits.map(({ bytes }) => bytes)).toContain(512 * 512 * 256 * 4);
    for (const { bytes, bands } of splits) expect(bands).toBeGreaterThanOrEqual(Math.ceil(bytes / 2 ** 27));
    expect(phase(small, "unet").splits).toEqual([]);
    const large = await planModel(standIn("sd15"), gpuLike({ maxStorageBufferBindingSize: 2 ** 31 - 4 }), options);
    expect(large.phases.flatMap((one) => one.splits)).toEqual([]);
    expect(phase(large, "vae").dispatches).toBeLessThan(phase(small, "vae").dispatches);
  });

  it("says why a picture does not fit", async () => {
    const size = { width: 512, height: 512 };
    const little = await planModel(standIn("sd15"), gpuLike(), { precision: "f32", tier: "f32", size, memory: 2e9 });
    expect(little).toMatchObject({ fits: false });
    expect(little.problem?.message).toMatch(/take \d+ bytes, 2000000000 are there/);
    const buffersOf = (maxBufferSize: number) =>
      planModel(standIn("sd15"), gpuLike({ maxBufferSize }), { precision: "f32", tier: "f32", size });
    const buffers = await buffersOf(2 ** 26);
    expect(buffers.fits).toBe(false);
    expect(buffers.problem?.message).toMatch(/more than one buffer may have/);
    // Weights of 118 MB fit, maps of 268 MB don't: they are decoded in tiles of 256 pixels.
    const tiled = await buffersOf(2 ** 27);
    expect(tiled.fits).toBe(true);
    expect(phase(tiled, "vae").largestTensorBytes).toBe(256 * 256 * 256 * 4);
  });

  it("counts one sample where there is no guidance", async () => {
    const of = (guidance: number) => planModel(standIn("sd15"), gpuLike(), { size: { width: 256, height: 256, guidance } });
    expect((await of(1)).totalBytes).toBeLessThan((await of(7)).totalBytes);
  });
});
