import { describe, expect, it } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import { combine, type Term } from "../../kernels/combine.ts";
import { closeTo, forEachDType, needs, useDevice } from "../kernels/harness.ts";

const gpu = useDevice();
const coefficients = [1.5, -0.25, 3, 0, -7.5, 0.125];

forEachDType((dtype) => {
  // Sums in f32; the result is rounded to f16 once.
  const tolerance = dtype === "f16" ? 1e-3 : 1e-6;

  // f16 tensors are uploaded in whole words, so their sizes are even.
  const sizes = dtype === "f16" ? [2, 62, 64, 66, 1026] : [1, 63, 64, 65, 1027];
  const cases = sizes.flatMap((size) => [1, 2, 3, 4, 5, 6].map((terms) => [size, terms] as const));

  it.for(cases)("%i elements, %i terms", async ([size, terms], { skip }) => {
    if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
    const inputs = Array.from({ length: terms }, () => gpu.random([size], dtype));
    const expected = Float64Array.from({ length: size }, (_, i) =>
      inputs.reduce((sum, { values }, term) => sum + coefficients[term]! * values[i]!, 0),
    );
    const actual = await gpu.evaluate(() => combine(inputs.map((input, term): Term => [coefficients[term]!, input.upload()])));
    // Where terms cancel, the rounding is still that of the largest of them.
    const largest = (values: Float64Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const magnitudes = expected.map((_, i) =>
      inputs.reduce((sum, { values }, term) => sum + Math.abs(coefficients[term]! * values[i]!), 0),
    );
    closeTo(actual, expected, (tolerance * largest(magnitudes)) / largest(expected));
  });
});

describe("combine", () => {
  it("is one launch", () => {
    const x = gpu.random([8]).upload();
    const before = gpu.device.counters.dispatches;
    const y = combine([
      [1, x],
      [2, x],
      [3, x],
    ]);
    expect(gpu.device.counters.dispatches - before).toBe(1);
    x.free();
    y.free();
  });

  it("refuses terms that don't fit together, with both shapes", () => {
    gpu.device.scope(() => {
      const a = gpu.random([2, 3]).upload();
      const b = gpu.random([3, 2]).upload();
      const c = gpu.device.empty([2, 3], "u32");
      const pair = (x: typeof a, y: typeof a): Term[] => [
        [1, x],
        [1, y],
      ];
      expect(() => combine(pair(a, b))).toThrow(/combine.*\[2, 3\].*\[3, 2\]/);
      expect(() => combine(pair(a, c))).toThrow(ShapeError);
      expect(() => combine([])).toThrow("combine: takes 1 to 6 terms, got 0");
      expect(() => combine(Array.from({ length: 7 }, (): Term => [1, a]))).toThrow("combine: takes 1 to 6 terms, got 7");
    });
  });
});
