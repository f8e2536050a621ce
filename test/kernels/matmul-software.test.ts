/** @file What the software rung of a product does beside it: GEGLU where it stores. */
import { describe, expect, test } from "vitest";
import { matmulGeglu } from "../../kernels/matmul/index.ts";
import { geglu } from "../oracle/elementwise.ts";
import * as oracle from "../oracle/matmul.ts";
import { closeTo, forEachDType, needs, useDevice } from "./harness.ts";

// Sums of up to 132 products in f32, of numbers around 1; f16 adds one rounding of the result, 2^-11 of its size.
const tolerance = { f32: 4e-6, f16: 1e-3 };
// Between two launches values and gates are rounded, too.
const ofTwoLaunches = { f32: 4e-6, f16: 2e-3 };

/** Rows, inner numbers, columns of values and gates: part of a tile, several, and what goes by two launches. */
const sizes = [
  [1, 4, 16],
  [16, 20, 32],
  [17, 12, 48],
  [70, 132, 144],
  [33, 36, 272],
  [65, 8, 64],
  [9, 8, 40],
] as const;

describe.for([1, 3, 64])("GEGLU, %i host threads", (hostThreads) => {
  const gpu = useDevice({ tier: "software", hostThreads });

  forEachDType((dtype) => {
    test.for(["f32", "f16"] as const)(`weights in %s beside ${dtype}`, async (weightType, { skip }) => {
      needs(gpu.device, "subgroups", skip);
      if (dtype === "f16" || weightType === "f16") needs(gpu.device, "shader-f16", skip);
      for (const [rows, inner, columns] of sizes) {
        const x = gpu.random([rows, inner], dtype);
        const weight = gpu.random([inner, columns], weightType, { std: 1 / Math.sqrt(inner) });
        for (const bias of [gpu.random([columns]), undefined]) {
          const actual = await gpu.evaluate(() => matmulGeglu(x.upload(), weight.upload(), { bias: bias?.upload() }));
          expect(actual).toHaveLength((rows * columns) / 2);
          const wide = oracle.matmul(x.values, weight.values, { rows, inner, columns, bias: bias?.values });
          closeTo(
            actual,
            geglu(Float32Array.from(wide), rows, columns / 2),
            (columns % 16 === 0 ? tolerance : ofTwoLaunches)[dtype],
            `[${rows}, ${inner}] x ${columns}`,
          );
        }
      }
    });
  });
});

describe("GEGLU of tensors larger than a binding", () => {
  const gpu = useDevice({ tier: "software", limits: { maxStorageBufferBindingSize: 65536 } });
  test("goes in bands of rows", async ({ skip }) => {
    needs(gpu.device, "subgroups", skip);
    const [rows, inner, columns] = [1301, 20, 144];
    const [x, weight, bias] = [
      gpu.random([rows, inner]),
      gpu.random([inner, columns], "f32", { std: 0.2 }),
      gpu.random([columns]),
    ];
    const actual = await gpu.evaluate(() => matmulGeglu(x.upload(), weight.upload(), { bias: bias.upload() }));
    const wide = oracle.matmul(x.values, weight.values, { rows, inner, columns, bias: bias.values });
    closeTo(actual, geglu(Float32Array.from(wide), rows, columns / 2), tolerance.f32);
  });
});
