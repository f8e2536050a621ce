import { describe, expect, it } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import { guidance, rescaledGuidance } from "../../kernels/index.ts";
import * as oracle from "../oracle/rescaled-guidance.ts";
import { closeTo, forEachDType, needs, useDevice } from "./harness.ts";

const gpu = useDevice();

forEachDType((dtype) => {
  it.for([
    [1, 1, 1, 4],
    [1, 3, 5, 4],
    [2, 8, 8, 4],
    [3, 13, 11, 4],
  ])("%i images of %i x %i x %i", async ([images, ...size], { skip }) => {
    if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
    // Off zero, so that a deviation without its mean would show.
    const both = gpu.random([2 * images!, ...size], dtype, { mean: 0.5 });
    for (const [strength, rescale] of [
      [7.5, 0.7],
      [3, 1],
      [1, 0.5],
    ] as const) {
      const actual = await gpu.evaluate(() => rescaledGuidance(both.upload(), strength, rescale));
      // Sums in f32, of what is stored.
      closeTo(actual, oracle.rescaledGuidance(both.values, images!, strength, rescale), 1e-5);
    }
  });
});

describe("rescaledGuidance", () => {
  it("is guidance at 0, and finite where all predictions are the same", async () => {
    const both = gpu.random([2, 4, 4, 4]);
    closeTo(
      await gpu.evaluate(() => rescaledGuidance(both.upload(), 5, 0)),
      Float64Array.from(await gpu.evaluate(() => guidance(both.upload(), 5))),
      1e-6,
    );
    const same = gpu.input([2, 2, 2, 4], new Float32Array(32).fill(0.25));
    expect([...(await gpu.evaluate(() => rescaledGuidance(same.upload(), 5, 0.7)))]).toEqual(Array(16).fill(0.25));
  });

  it("refuses a batch without pairs", () => {
    gpu.device.scope(() => {
      expect(() => rescaledGuidance(gpu.random([3, 2, 2, 4]).upload(), 7, 0.7)).toThrow(ShapeError);
    });
  });
});
