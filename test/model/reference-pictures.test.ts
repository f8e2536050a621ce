import { afterAll, beforeAll, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/index.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedModel } from "./cases.ts";
import { decibelsOf, references } from "./references.ts";

let device: Device;
let model: StableDiffusion;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  const source = await openFile(embeddedModel);
  model = await StableDiffusion.load(source, { device });
});
afterAll(() => {
  model.free();
  device.close();
});

it.each(references)("$prompt, $sampler: at least 55 dB", async (reference) => {
  expect(await decibelsOf(model, reference)).toBeGreaterThanOrEqual(55);
});
