/** @file The embedded checkpoint on the matrix tier: the originals' modules within 1e-2, their pictures to 40 dB. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/index.ts";
import { createDevice } from "../kernels/harness.ts";
import { matrixOptions, noMatrices } from "../kernels/matrix-device.ts";
import { embeddedCases, embeddedModel, groups, traceFiles, worst } from "./cases.ts";
import { decibelsOf, references } from "./references.ts";

let device: Device;
beforeAll(async () => {
  device = await createDevice(matrixOptions);
});
afterAll(() => device.close());

// f16 operands and activations (2^-11 a rounding) through all layers.
it("agrees with the originals within 1e-2", { timeout: 600_000 }, async ({ skip }) => {
  noMatrices(device, skip);
  const { tensors } = await traceFiles(device, { model: embeddedModel, cases: embeddedCases });
  expect(groups.filter(({ pattern }) => worst(tensors, pattern)).map(({ name }) => name)).toEqual(["text", "U-Net", "VAE"]);
  for (const { name, pattern } of groups) {
    const tensor = worst(tensors, pattern);
    if (tensor === undefined) continue;
    console.info(`${name}: ${tensor.relativeError.toExponential(1)} (${tensor.name})`);
    expect(tensor.relativeError, `${name}: ${tensor.name}`).toBeLessThanOrEqual(1e-2);
  }
});

it("makes the reference pictures to 40 dB", { timeout: 900_000 }, async ({ skip }) => {
  noMatrices(device, skip);
  const model = await StableDiffusion.load(await openFile(embeddedModel), { device });
  for (const reference of references) expect(await decibelsOf(model, reference), reference.file).toBeGreaterThanOrEqual(40);
  model.free();
});
