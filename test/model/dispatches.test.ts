/** @file How many launches a denoising step of SD 1.5 takes: every one costs microseconds, whatever it computes. No GPU needed. */
import { expect, test } from "vitest";
import { familyHeader, makeStepModel } from "../../bench/step-model.ts";
import { dryDevice } from "../../model/plan/dry-gpu.ts";
import { createNullDevice } from "../kernels/harness.ts";
import { fakeConfig } from "../kernels/matrix-device.ts";
import { gpuLike } from "./capabilities.ts";

test("at most 450 at 512 x 512 with guidance, on a software adapter with subgroups of 8 as lavapipe", async () => {
  const lavapipe = gpuLike({}, ["shader-f16", "subgroups"]);
  const device = await dryDevice(
    { ...lavapipe, info: { ...lavapipe.info, device: "llvmpipe", subgroupMinSize: 8, subgroupMaxSize: 8 } },
    { tier: "software", precision: "f32" },
  );
  const model = await makeStepModel(device, await familyHeader("sd15"), 512, 2);
  expect(device.subgroupSize).toBe(8);
  expect(model.step.launches.length).toBeLessThanOrEqual(450);
  model.free();
  device.close();
});

test.each(["matrix", "f16", "f32", "software"] as const)("at most 450 at 512 x 512 with guidance, tier %s", async (tier) => {
  const device = await createNullDevice({ tier, precision: tier === "matrix" || tier === "f16" ? "f16" : "f32" });
  if (tier === "matrix") fakeConfig(device, { M: 16, N: 16, K: 16, lanes: 32 });
  const model = await makeStepModel(device, await familyHeader("sd15"), 512, 2);
  const kernels = model.step.launches.map(({ kernel }) => kernel.name);
  console.info(`${tier}: ${kernels.length}`);
  expect(kernels.length).toBeLessThanOrEqual(450);
  if (tier === "matrix") {
    // All products but those with the picture's four channels.
    const products = kernels.filter((name) => /^(matmul|conv2d|attention)\/(?!slabs)/.test(name));
    expect(products.filter((name) => !name.includes("/matrix")).length).toBeLessThanOrEqual(2);
  }
  model.free();
  device.close();
});
