import { describe, expect, test } from "vitest";
import { torchActivation, torchActivations } from "../../kernels/index.ts";
import * as oracle from "../oracle/torch-activation.ts";
import { closeTo, forEachDType, needs, normals, useDevice } from "./harness.ts";

// f32: the last digits of exp, log and tanh, which WGSL leaves to the driver. f16: one rounding of the result.
const tolerance = { f32: 1e-5, f16: 5e-4 };

describe("torch's activations", () => {
  const gpu = useDevice();

  forEachDType((dtype) => {
    test.for(torchActivations)("%s", async (name, { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      // Both sides of every corner, and where exp overflows.
      const corners = [0, -0.5, 0.5, -1, 1, -3, 3, 6, 7, -100, 100];
      const values = normals(65, { std: 3 });
      values.set(corners);
      const x = gpu.input([13, 5], values, dtype);
      const actual = await gpu.evaluate(() => torchActivation(x.upload(), name));
      const expected = Array.from(x.values, oracle.torchActivations[name]!);
      closeTo(actual, expected, tolerance[dtype]);
      // The corners dwarf the rest: it is compared by itself.
      closeTo(actual.slice(corners.length), expected.slice(corners.length), tolerance[dtype]);
    });
  });

  test("every name has its function", () => {
    expect([...torchActivations].sort()).toEqual(Object.keys(oracle.torchActivations).sort());
  });
});
