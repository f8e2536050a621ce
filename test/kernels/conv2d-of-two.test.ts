/** @file The 1x1 convolution of two maps side by side, which are joined only where the weights can't be cut between them. */
import { describe, expect, test } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import { conv2dOfTwo } from "../../kernels/index.ts";
import * as oracle from "../oracle/conv2d.ts";
import { concat } from "../oracle/elementwise.ts";
import { closeTo, createNullDevice, forEachDType, needs, useDevice, withBindingsOf } from "./harness.ts";

// f16: the sum of the first part is rounded, too.
const tolerance = { f32: 4e-6, f16: 2e-3 };

interface Case {
  readonly map: readonly [number, number, number];
  readonly a: number;
  readonly b: number;
  readonly outputs: number;
  readonly joins?: boolean;
}

const cases: readonly Case[] = [
  { map: [2, 5, 7], a: 64, b: 32, outputs: 32 },
  { map: [2, 2, 2], a: 32, b: 320, outputs: 64 },
  // The second part's weights would begin at byte 96 or 48.
  { map: [1, 3, 3], a: 12, b: 4, outputs: 2, joins: true },
  { map: [2, 3, 2], a: 6, b: 10, outputs: 64, joins: true },
];

for (const tier of ["software", "f32"] as const) {
  describe(`tier ${tier}`, () => {
    const gpu = useDevice({ tier });

    const check = async ({ map, a, b, outputs, joins = false }: Case, dtype: "f32" | "f16") => {
      const [left, right] = [gpu.random([...map, a], dtype), gpu.random([...map, b], dtype)];
      const weight = gpu.random([1, 1, a + b, outputs], dtype, { std: 1 / Math.sqrt(a + b) });
      const bias = gpu.random([outputs]);
      const seen: string[] = [];
      const record = gpu.device.record.bind(gpu.device);
      Object.assign(gpu.device, {
        record: (...args: Parameters<typeof record>) => {
          seen.push(args[0].name);
          record(...args);
        },
      });
      const actual = await gpu
        .evaluate(() => conv2dOfTwo(left.upload(), right.upload(), weight.upload(), { bias: bias.upload() }))
        .finally(() => Object.assign(gpu.device, { record }));
      expect(seen.some((name) => name.startsWith("concat"))).toBe(joins);
      const joined = Float32Array.from(concat(left.values, right.values, map[0] * map[1] * map[2]));
      const x = [...map, a + b] as const;
      const expected = oracle.conv2d(joined, weight.values, { x, window: [1, 1], outputs }, { bias: bias.values });
      closeTo(actual, expected.values, tolerance[dtype]);
    };

    forEachDType((dtype) => {
      test.for(cases)("$map, $a | $b -> $outputs", async (c, { skip }) => {
        if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
        await check(c, dtype);
      });
    });

    test("in bands of rows, where no binding holds a map", async () => {
      await withBindingsOf(gpu.device, 16384, () => check({ map: [2, 16, 16], a: 64, b: 32, outputs: 32 }, "f32"));
    });
  });
}

test("refuses a larger window and inputs that aren't the weights'", async () => {
  const device = await createNullDevice();
  device.scope(() => {
    const [a, b] = [device.empty([1, 4, 4, 64]), device.empty([1, 4, 4, 32])];
    expect(() => conv2dOfTwo(a, b, device.empty([3, 3, 96, 64]))).toThrow(/1 x 1.*3, 3, 96, 64/);
    expect(() => conv2dOfTwo(a, b, device.empty([1, 1, 128, 64]))).toThrow(ShapeError);
  });
  device.close();
});
