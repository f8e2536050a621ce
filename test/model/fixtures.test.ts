import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../engine/index.ts";
import { only, type RecordedTensors } from "../../model/trace/trace-case.ts";
import { createDevice, needs } from "../kernels/harness.ts";
import { skipped } from "../skip.ts";
import { embeddedCases, embeddedModel, fixture, groups, missingFixtures, type TraceFiles, traceFiles, worst } from "./cases.ts";

let device: Device;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
});
afterAll(() => device.close());

/** Traces, checks every group that the file has against its tolerance, and that all memory came back. */
async function agrees(on: Device, files: TraceFiles, atLeast?: number): Promise<readonly string[]> {
  const before = on.memory.liveBytes;
  const { tensors, skipped } = await traceFiles(on, files);
  const found: string[] = [];
  for (const { name, pattern, tolerance } of groups) {
    const tensor = worst(tensors, pattern);
    if (tensor === undefined) continue;
    found.push(name);
    expect(tensor.relativeError, `${name}: ${tensor.name}`).toBeLessThanOrEqual(Math.max(tolerance, atLeast ?? 0));
  }
  for (const { name, maxAbsError } of tensors) if (name.endsWith(".image")) expect(maxAbsError, name).toBeLessThanOrEqual(1);
  expect(on.memory.liveBytes, "live bytes after the trace").toBe(before);
  expect(on.failure).toBeUndefined();
  return [...found, ...skipped.map((name) => `skipped ${name}`)];
}

/** Whole runs take long: two of them stand for all. */
const fewRuns = (recorded: RecordedTensors) =>
  only(recorded, /^(?!run\.)|^run\.(noise|step_noise|.*sigmas|karras\.dpmpp_2m(\.image)?|discrete\.euler_ancestral)$/);

describe("embedded checkpoint", () => {
  const files = { model: embeddedModel, cases: embeddedCases };

  it("agrees with the originals in f32", async () => {
    expect(await agrees(device, files)).toEqual(["text", "U-Net", "VAE"]);
  });

  it("agrees within 1e-2 in f16", async ({ skip }) => {
    needs(device, "shader-f16", skip);
    const half = await createDevice({ precision: "f16" });
    expect(await agrees(half, files, 1e-2)).toEqual(["text", "U-Net", "VAE"]);
    half.close();
  });

  it("agrees on the rungs for GPUs", async () => {
    const gpu = await createDevice({ precision: "f32", tier: "f32" });
    expect(await agrees(gpu, files)).toEqual(["text", "U-Net", "VAE"]);
    gpu.close();
  });
});

describe.skipIf(skipped("families other than the embedded checkpoint's", missingFixtures))("scaled-down families", () => {
  it("SD 1 agrees, with whole runs", async () => {
    expect(await agrees(device, { ...fixture("sd1-tiny"), change: fewRuns })).toEqual(["text", "U-Net", "VAE", "sigmas", "runs"]);
  });

  it("SD 1 for inpainting agrees: nine input channels", async () => {
    expect(await agrees(device, fixture("sd1-inpaint-tiny"))).toEqual(["text", "U-Net", "VAE"]);
  });
});
