/** @file The kernels of pictures from pictures: blending by a mask, guidance by a picture and a prompt. */
import { describe, expect, it } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import { blend, imageGuidance } from "../../kernels/index.ts";
import { closeTo, forEachDType, needs, useDevice } from "./harness.ts";

const gpu = useDevice();

forEachDType((dtype) => {
  it.for([
    [1, 1, 1, 4],
    [1, 3, 5, 4],
    [2, 13, 11, 4],
  ])("blend %s", async (shape, { skip }) => {
    if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
    const [a, b] = [gpu.random(shape, dtype), gpu.random(shape, dtype)];
    const share = Float32Array.from(a.values, (_, i) => [0, 1, 0.25][i % 3]!);
    const actual = await gpu.evaluate(() => blend(a.upload(), b.upload(), gpu.input(shape, share).upload()));
    const expected = Float64Array.from(a.values, (value, i) => share[i]! * value + (1 - share[i]!) * b.values[i]!);
    // Rounded once to storage.
    closeTo(actual, expected, dtype === "f16" ? 1e-3 : 1e-6);
    // Where the mask is whole, the choice is exact.
    for (let i = 0; i < actual.length; i++) {
      if (share[i] === 1) expect(actual[i]).toBe(a.values[i]);
      if (share[i] === 0) expect(actual[i]).toBe(b.values[i]);
    }
  });

  it.for([
    [1, 1, 1, 4],
    [1, 5, 3, 4],
    [2, 9, 7, 4],
  ])("imageGuidance, %s a part", async ([images, ...size], { skip }) => {
    if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
    const all = gpu.random([3 * images!, ...size], dtype);
    const part = all.values.length / 3;
    const actual = await gpu.evaluate(() => imageGuidance(all.upload(), 1.5, 7));
    const expected = Float64Array.from({ length: part }, (_, i) => {
      const [neither, image, both] = [all.values[i]!, all.values[i + part]!, all.values[i + 2 * part]!];
      return neither + 1.5 * (image - neither) + 7 * (both - image);
    });
    closeTo(actual, expected, 1e-6); // in f32, of what is stored
  });
});

describe("shapes that are refused", () => {
  it("blend of different sizes, imageGuidance without threes", () => {
    gpu.device.scope(() => {
      const tensor = (...shape: number[]) => gpu.random(shape).upload();
      expect(() => blend(tensor(1, 2, 2, 4), tensor(1, 2, 2, 4), tensor(1, 2, 3, 4))).toThrow(ShapeError);
      expect(() => imageGuidance(tensor(2, 2, 2, 4), 1, 1)).toThrow(ShapeError);
    });
  });
});
