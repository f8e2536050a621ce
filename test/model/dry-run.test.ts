/** @file Every launch of a picture on Dawn's null backend, which compiles nothing but checks shaders, bindings and limits. */
import { afterEach, describe, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/index.ts";
import { createNullDevice, type DeviceOptions, limited } from "../kernels/harness.ts";
import { embeddedModel } from "./cases.ts";

let device: Device | undefined;
afterEach(() => device?.close());

const cases: readonly (readonly [string, DeviceOptions])[] = [
  ["f32", { tier: "f32", precision: "f32" }],
  ["f32 with WebGPU's least", { tier: "f32", precision: "f32", ...limited }],
  ["f16", { tier: "f16", precision: "f16" }],
  ["software", { tier: "software", precision: "f32" }],
  ["software with WebGPU's least", { tier: "software", precision: "f32", ...limited }],
];

/** Nothing is computed, so what would be read back is whatever lies there: say that all of it is zero. */
function answerZeros(on: Device): void {
  on.readBytes = async (tensor) => {
    await on.idle();
    return new ArrayBuffer(tensor.bytes);
  };
}

describe("a picture on the null backend", () => {
  it.each(cases)("is valid work for tier %s, and all memory comes back", async (_, options) => {
    device = await createNullDevice(options);
    answerZeros(device);
    const before = device.memory.liveBytes;
    const source = await openFile(embeddedModel);
    const model = await StableDiffusion.load(source, { device });
    const generating = model.generate("a red fox", { steps: 2, width: 192, height: 64, seed: 1n });
    let step = await generating.next();
    while (!step.done) step = await generating.next();
    await device.idle(); // throws what validation found
    expect(step.value.pixels).toHaveLength(192 * 64 * 4);
    expect(model.dispatchesPerStep).toBeGreaterThan(100);
    model.free();
    expect(device.memory.liveBytes).toBe(before);
    await source.close();
  });
});
