/** @file Row 75 of the fault catalogue: after its device is lost a picture goes on where it was, and comes out the same. */
import { expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import { type GenerateOptions, RunLog } from "../../model/index.ts";
import { createDevice, loadSmall, picture, rejection } from "./picture.ts";

/** Dispatches of U-Net steps on a device: all other captures have other lengths. */
function countSteps(device: Device, launches: () => number): { steps: number; lostAfter: number } {
  const counted = { steps: 0, lostAfter: Number.POSITIVE_INFINITY };
  const replay = device.replay.bind(device);
  Object.assign(device, {
    replay: (replayed: Parameters<Device["replay"]>[0]) => {
      replay(replayed);
      if (replayed.commands.length !== launches()) return;
      if (++counted.steps === counted.lostAfter) device.gpu.destroy();
    },
  });
  return counted;
}

async function opened() {
  const device = await createDevice({ precision: "f32" });
  const model = await loadSmall(device);
  const counted = countSteps(device, () => model.dispatchesPerStep);
  const close = () => {
    model.free();
    expect(device.memory.liveBytes).toBe(0);
    device.close();
  };
  return { model, counted, close };
}

const cases: readonly (readonly [string, GenerateOptions, calls: number])[] = [
  ["a multistep sampler", { sampler: "dpmpp_2m" }, 8],
  ["noise in every step", { sampler: "euler_ancestral" }, 8],
  ["two calls a step", { sampler: "heun" }, 15],
  ["CFG++, which asks for two results", { sampler: "euler_cfg_pp" }, 8],
  ["a prompt that changes on the way", { negative: "[red:blue:0.4]" }, 8],
];

test.each(cases)("%s", async (_, options, calls) => {
  const wanted = { ...options, steps: 8 };
  const whole = await opened();
  const { pixels: expected } = await picture(whole.model, wanted);
  expect(whole.counted.steps).toBe(calls);
  whole.close();

  const log = new RunLog();
  const first = await opened();
  const lostAfter = Math.ceil(calls * 0.75); // the host is two steps ahead of what is known
  first.counted.lostAfter = lostAfter;
  expect((await rejection(picture(first.model, { ...wanted, log }))).code).toBe("DEVICE_LOST");
  first.close();
  expect(log.calls).toBeGreaterThan(0);
  expect(log.calls).toBeLessThan(lostAfter);

  const known = log.calls;
  const second = await opened();
  const seen: number[] = [];
  const { pixels } = await picture(second.model, { ...wanted, log }, (step) => seen.push(step));
  expect(Buffer.compare(pixels, expected)).toBe(0);
  expect(second.counted.steps).toBe(calls - known);
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  second.close();
});
