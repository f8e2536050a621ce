import { describe, expect, test } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import { groupNormRungs } from "../../kernels/group-norm/index.ts";
import { groupNorm, layerNorm } from "../../kernels/index.ts";
import { layerNormRungs } from "../../kernels/layer-norm/index.ts";
import * as oracle from "../oracle/norms.ts";
import { closeTo, forEachDType, limited, needs, type RandomInput, type TestDevice, useDevice } from "./harness.ts";

// f32: sums of up to 10^5 numbers in trees. f16: one rounding of the result, 2^-11 of its size.
const tolerance = { f32: 4e-6, f16: 1e-3 };

interface GroupCase {
  readonly shape: readonly number[];
  readonly groups: number;
  readonly silu?: boolean;
  readonly mean?: number;
  /** Channels of x; the others are of a tensor beside it. */
  readonly own?: number;
  /** Times the usual tolerance. */
  readonly slack?: number;
}

const groupCases: readonly GroupCase[] = [
  { shape: [2, 16, 16, 64], groups: 8, silu: true },
  { shape: [2, 16, 16, 64], groups: 32 },
  // One workgroup a group: widths of 1, 2, 3 and 40 vectors.
  { shape: [2, 8, 8, 128], groups: 8, silu: true },
  { shape: [2, 1, 1, 64], groups: 8 },
  { shape: [3, 5, 13, 96], groups: 8, silu: true },
  { shape: [1, 3, 2, 320], groups: 2 },
  { shape: [1, 32, 32, 64], groups: 4, mean: 300, slack: 25 },
  // The largest group that software adapters sum in one workgroup.
  { shape: [1, 16, 16, 160], groups: 4, mean: 300, slack: 25 },
  { shape: [1, 1, 1, 4], groups: 1 },
  // Groups of two numbers: where they lie close together, rounding their mean is a large part of their distance.
  { shape: [3, 1, 1, 64], groups: 32, silu: true, slack: 25 },
  { shape: [1, 9, 7, 96], groups: 32, silu: true },
  { shape: [2, 13, 5, 96], groups: 8 },
  { shape: [2, 3, 3, 6], groups: 2, silu: true },
  { shape: [1, 63, 5], groups: 5 },
  { shape: [2, 65, 320], groups: 32, silu: true },
  { shape: [1, 40, 33, 32], groups: 8 },
  // A mean of 300 deviations: sums of squares would cancel, and the input has only 2^-24 * 300 of absolute precision left.
  { shape: [1, 32, 32, 32], groups: 8, mean: 300, slack: 25 },
  // Two tensors side by side, with a group that has channels of both: widths of 3 vectors, of 3 numbers, of 8 vectors, 10 numbers.
  { shape: [2, 8, 8, 96], groups: 8, own: 68, silu: true },
  { shape: [2, 13, 5, 96], groups: 32, own: 64 },
  { shape: [1, 64, 64, 64], groups: 2, own: 40, silu: true, mean: 3 },
  { shape: [2, 9, 7, 20], groups: 2, own: 6, silu: true },
  // A border between groups.
  { shape: [2, 4, 4, 128], groups: 8, own: 64, silu: true },
];

/** The first `own` channels, and those that follow them. */
function split(gpu: TestDevice, { shape, values }: RandomInput, own: number, dtype: "f32" | "f16" = "f32") {
  const channels = shape.at(-1)!;
  const part = (begin: number, end: number) =>
    gpu.input(
      [...shape.slice(0, -1), end - begin],
      values.filter((_, i) => i % channels >= begin && i % channels < end),
      dtype,
    );
  return { x: part(0, own), beside: part(own, channels) };
}

for (const tier of ["software", "f32"] as const) {
  describe(`tier ${tier}`, () => {
    const gpu = useDevice({ tier });

    forEachDType((dtype) => {
      for (const { shape, groups, silu = false, mean = 0.5, slack = 1, own } of groupCases) {
        const name = `${groups} groups${own ? ` of ${own} | ${shape.at(-1)! - own}` : ""}${silu ? " + silu" : ""}`;
        test(`group-norm [${shape}] in ${name}${mean > 1 ? ` around ${mean}` : ""}`, async ({ skip }) => {
          if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
          const channels = shape.at(-1)!;
          const x = gpu.random(shape, dtype, { mean });
          const gain = gpu.random([channels], "f32", { mean: 1, std: 0.3 });
          const shift = gpu.random([channels]);
          const options = { groups, eps: 1e-5, silu };
          const parts = own === undefined ? { x, beside: undefined } : split(gpu, x, own, dtype);
          const actual = await gpu.evaluate(() => {
            const beside = parts.beside?.upload();
            return groupNorm(parts.x.upload(), gain.upload(), shift.upload(), { ...options, beside });
          });
          const samples = shape[0]!;
          const pixels = x.values.length / samples / channels;
          const expected = oracle.groupNorm(x.values, gain.values, shift.values, { ...options, samples, pixels, channels });
          closeTo(actual, expected, tolerance[dtype] * slack);
        });
      }

      for (const [rows, width] of [
        [1, 4],
        [77, 64],
        [63, 768],
        [65, 96],
        [5, 63],
        [130, 320],
        [1, 1280],
        [19, 40],
      ] as const) {
        test(`layer-norm [${rows}, ${width}]`, async ({ skip }) => {
          if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
          const x = gpu.random([rows, width], dtype, { mean: 2 });
          const gain = gpu.random([width], "f32", { mean: 1, std: 0.3 });
          const shift = gpu.random([width]);
          const actual = await gpu.evaluate(() => layerNorm(x.upload(), gain.upload(), shift.upload(), { eps: 1e-5 }));
          closeTo(actual, oracle.layerNorm(x.values, gain.values, shift.values, 1e-5), tolerance[dtype]);
        });
      }
    });

    test("every rung of the ladders, forced", async () => {
      const x = gpu.random([2, 9, 7, 64], "f32", { mean: 0.5 });
      const gain = gpu.random([64], "f32", { mean: 1, std: 0.3 });
      const shift = gpu.random([64]);
      const options = { groups: 8, eps: 1e-5, silu: true };
      const group = oracle.groupNorm(x.values, gain.values, shift.values, { ...options, samples: 2, pixels: 63, channels: 64 });
      const groupRungs = groupNormRungs(gpu.device, { bytes: x.values.length * 4, channels: 64, own: 64, groups: 8 });
      for (const rung of groupRungs) {
        closeTo(
          await gpu.evaluate(() => groupNorm(x.upload(), gain.upload(), shift.upload(), options, rung)),
          group,
          tolerance.f32,
        );
      }
      const layer = oracle.layerNorm(x.values, gain.values, shift.values, 1e-5);
      const layerRungs = layerNormRungs(gpu.device, 64);
      for (const rung of layerRungs) {
        closeTo(
          await gpu.evaluate(() => layerNorm(x.upload(), gain.upload(), shift.upload(), { eps: 1e-5 }, rung)),
          layer,
          tolerance.f32,
        );
      }
      expect(groupRungs.slice(0, 3)).toEqual(["naive", "slabs", "whole"]);
      expect(layerRungs[0]).toBe("naive");
    });

    test("a first number far from all others leaves the variance its digits", async () => {
      const x = gpu.random([1, 32, 32, 64]);
      x.values[0] = 300;
      const gain = gpu.input([64], new Float32Array(64).fill(1));
      const zeros = gpu.input([64], new Float32Array(64));
      const group = oracle.groupNorm(x.values, gain.values, zeros.values, {
        ...{ groups: 2, eps: 1e-5, silu: false },
        ...{ samples: 1, pixels: 1024, channels: 64 },
      });
      const rows = gpu.input([3, 1280], x.values.subarray(0, 3840));
      const wide = gpu.input([1280], new Float32Array(1280).fill(1));
      const wideZeros = gpu.input([1280], new Float32Array(1280));
      const layer = oracle.layerNorm(rows.values, wide.values, wideZeros.values, 1e-5);
      const values = gpu.input(x.shape, x.values);
      closeTo(
        await gpu.evaluate(() => groupNorm(values.upload(), gain.upload(), zeros.upload(), { groups: 2, eps: 1e-5 })),
        group,
        tolerance.f32,
      );
      closeTo(
        await gpu.evaluate(() => layerNorm(rows.upload(), wide.upload(), wideZeros.upload(), { eps: 1e-5 })),
        layer,
        tolerance.f32,
      );
    });

    test("the same input gives the same bits", async () => {
      const x = gpu.random([2, 16, 16, 64]);
      const gain = gpu.random([64]);
      const run = () => gpu.evaluate(() => groupNorm(x.upload(), gain.upload(), gain.upload(), { groups: 8, eps: 1e-5 }));
      expect(await run()).toEqual(await run());
    });
  });
}

describe("an adapter with 256 invocations and bindings of 64 KiB", () => {
  const gpu = useDevice({ ...limited, limits: { ...limited.limits, maxStorageBufferBindingSize: 65536 } });

  test("group-norm works in row bands", async () => {
    const x = gpu.random([2, 70, 33, 32], "f32", { mean: 1 }); // 295,680 bytes a sample
    const gain = gpu.random([32]);
    const options = { groups: 8, eps: 1e-6, silu: true };
    const actual = await gpu.evaluate(() => groupNorm(x.upload(), gain.upload(), gain.upload(), options));
    const expected = oracle.groupNorm(x.values, gain.values, gain.values, { ...options, samples: 2, pixels: 2310, channels: 32 });
    closeTo(actual, expected, tolerance.f32);
  });

  test("group-norm of two tensors works in row bands", async () => {
    const x = gpu.random([2, 70, 32, 32], "f32", { mean: 1 }); // samples of both parts end where a binding may begin
    const gain = gpu.random([32]);
    const options = { groups: 8, eps: 1e-6, silu: false };
    const parts = split(gpu, x, 20);
    const actual = await gpu.evaluate(() => {
      const beside = parts.beside.upload();
      return groupNorm(parts.x.upload(), gain.upload(), gain.upload(), { ...options, beside });
    });
    const expected = oracle.groupNorm(x.values, gain.values, gain.values, { ...options, samples: 2, pixels: 2240, channels: 32 });
    closeTo(actual, expected, tolerance.f32);
  });

  test("layer-norm works in row bands", async () => {
    const x = gpu.random([403, 100]);
    const gain = gpu.random([100]);
    const actual = await gpu.evaluate(() => layerNorm(x.upload(), gain.upload(), gain.upload(), { eps: 1e-5 }));
    closeTo(actual, oracle.layerNorm(x.values, gain.values, gain.values, 1e-5), tolerance.f32);
  });
});

describe("shapes that don't fit", () => {
  const gpu = useDevice();

  test("are refused with both numbers", () => {
    gpu.device.scope(() => {
      const x = gpu.device.empty([2, 4, 4, 36]);
      const vector = gpu.device.empty([36], "f32");
      const other = gpu.device.empty([32], "f32");
      expect(() => groupNorm(x, vector, vector, { groups: 32, eps: 1e-5 })).toThrow(ShapeError);
      expect(() => groupNorm(x, vector, vector, { groups: 32, eps: 1e-5 })).toThrow(/36 channels.*32 equal groups/);
      expect(() => groupNorm(x, other, other, { groups: 4, eps: 1e-5 })).toThrow(/32, expected 36/);
      expect(() => groupNorm(x, vector, vector, { groups: 4, eps: 1e-5, beside: x })).toThrow(/36, expected 72/);
      const beside = gpu.device.empty([2, 4, 5, 36]);
      expect(() => groupNorm(x, vector, vector, { groups: 4, eps: 1e-5, beside })).toThrow(/2, 4, 5, 36.*beside x/);
      expect(() => layerNorm(x, vector, other, { eps: 1e-5 })).toThrow(/32, expected 36/);
    });
  });
});
