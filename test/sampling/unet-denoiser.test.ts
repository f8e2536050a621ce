import { afterAll, beforeAll, expect, it } from "vitest";
import type { Device, Tensor } from "../../engine/index.ts";
import { add, scale } from "../../kernels/index.ts";
import { UNetDenoiser } from "../../model/denoiser/denoiser.ts";
import { NoiseSchedule } from "../../model/sampling/index.ts";
import type { UNet } from "../../model/unet/unet.ts";
import { closeTo, createDevice, normals } from "../kernels/harness.ts";
import { rescaledGuidance } from "../oracle/rescaled-guidance.ts";

// Not `useDevice`: a capture's buffers take turns, so no guard words can stand behind each tensor.
let device: Device;
beforeAll(async () => {
  device = await createDevice();
});
afterAll(() => device.close());

const schedule = new NoiseSchedule();
const size = 4 * 4 * 4;
const guidance = 3;

/** A denoiser on a "U-Net" whose output is its input plus the context: the negative prompt's, then the prompt's. */
async function withDenoiser(
  prediction: "eps" | "v",
  body: (denoiser: UNetDenoiser, x: Tensor, values: Float32Array, negative: Float32Array, prompt: Float32Array) => Promise<void>,
) {
  const before = device.memory.liveBytes;
  const [context, values] = [normals(2 * size), normals(size)];
  const unet = {
    config: { inChannels: 4, outChannels: 4, modelChannels: 8 },
    prepare: (tensor: Tensor) => scale(tensor, 1),
    forward: (input: Tensor, _: Tensor, prepared: Tensor) => add(input, prepared.reshape([2, 4, 4, 4])),
  } as unknown as UNet;
  const [uploaded, nonFinite] = [device.upload(context, [2, 4, 16]), device.upload(new Uint32Array(1), [1])];
  const options = { unet, prediction, schedule, height: 4, width: 4, context: uploaded, nonFinite, storage: "f32" as const };
  const denoiser = new UNetDenoiser(options);
  denoiser.guidance = guidance;
  await denoiser.ready();
  denoiser.prepare();
  const x = device.upload(values, [1, 4, 4, 4]);
  await body(denoiser, x, values, context.slice(0, size), context.slice(size));
  for (const owned of [x, denoiser, uploaded, nonFinite]) owned.free();
  expect(device.memory.liveBytes).toBe(before);
}

it("gives the guided D and that of the negative prompt", () =>
  withDenoiser("eps", async (denoiser, x, values, negative, prompt) => {
    const sigma = 2.5;
    const cIn = 1 / Math.sqrt(sigma ** 2 + 1);
    const d = (context: (i: number) => number) =>
      Float64Array.from(values, (value, i) => value - sigma * (cIn * value + context(i)));
    const guided = d((i) => negative[i]! + guidance * (prompt[i]! - negative[i]!));
    closeTo(await denoiser.denoise(x, sigma).read(), guided, 1e-5);
    const both = denoiser.denoiseBoth(x, sigma);
    closeTo(await both.guided.read(), guided, 1e-5);
    closeTo(
      await both.negative.read(),
      d((i) => negative[i]!),
      1e-5,
    );
  }));

it("gives x0 and eps that make up x, for eps and v", async () => {
  for (const prediction of ["eps", "v"] as const) {
    await withDenoiser(prediction, async (denoiser, x, values) => {
      const level = { timestep: 400, alphaBar: schedule.alphaBar[400]! };
      const x0 = await denoiser.x0(x, level).read();
      const eps = await denoiser.eps(x, level).read();
      const sum = x0.map((value, i) => Math.sqrt(level.alphaBar) * value + Math.sqrt(1 - level.alphaBar) * eps[i]!);
      closeTo(sum, Float64Array.from(values), 1e-5);
    });
  }
});

it("gives x0 = -v at zero terminal SNR", () =>
  withDenoiser("v", async (denoiser, x, values, negative, prompt) => {
    const expected = Float64Array.from(values, (value, i) => -(value + negative[i]! + guidance * (prompt[i]! - negative[i]!)));
    closeTo(await denoiser.x0(x, { timestep: 999, alphaBar: 0 }).read(), expected, 1e-5);
  }));

it("rescales the guided output to the prompt's spread", () =>
  withDenoiser("eps", async (denoiser, x, values, negative, prompt) => {
    const outputs = Float32Array.from([...negative, ...prompt], (context, i) => values[i % size]! + context);
    denoiser.guidanceRescale = 0.7;
    const eps = await denoiser.eps(x, { timestep: 400, alphaBar: schedule.alphaBar[400]! }).read();
    closeTo(eps, rescaledGuidance(outputs, 1, guidance, 0.7), 1e-5);
  }));
