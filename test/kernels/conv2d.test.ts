import { describe, expect, test } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import { bandsOf, convolutionOf } from "../../kernels/conv2d/convolution.ts";
import { type Conv2dRung, conv2d } from "../../kernels/conv2d/index.ts";
import { windowParts } from "../../kernels/conv2d/weight-parts.ts";
import * as oracle from "../oracle/conv2d.ts";
import { closeTo, forEachDType, limited, needs, type TestDevice, useDevice, withBindingsOf } from "./harness.ts";

// Sums of up to 9 x 320 products in f32; f16 adds one rounding of the result, 2^-11 of its size.
const tolerance = { f32: 4e-6, f16: 1e-3 };

/** The matrix rung, which takes f16 alone, has tests of its own. */
const rungs = ["naive", "tiled", "software"] as const;

interface Case extends oracle.Conv2dCase {
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly channelAdd?: boolean;
}

const same = { top: 1, left: 1, bottom: 1, right: 1 };
/** The VAE's downsampling: stride 2, one row and column of zeros below and right. */
const below = { top: 0, left: 0, bottom: 1, right: 1 };

/** Channels in fours: all rungs. */
const cases: readonly Case[] = [
  { x: [1, 1, 1, 4], window: [1, 1], outputs: 4 },
  { x: [1, 1, 1, 4], window: [3, 3], outputs: 4, padding: same },
  { x: [2, 5, 7, 8], window: [1, 1], outputs: 12, bias: true, residual: true },
  { x: [2, 9, 7, 12], window: [3, 3], outputs: 36, padding: same, bias: true, channelAdd: true, activation: "silu" },
  { x: [1, 9, 8, 20], window: [3, 3], outputs: 16, padding: same, stride: 2, bias: true },
  { x: [1, 8, 9, 16], window: [3, 3], outputs: 8, padding: below, stride: 2 },
  { x: [2, 3, 5, 24], window: [3, 3], outputs: 68, padding: same, upsample: true, bias: true },
  { x: [2, 3, 5, 24], window: [3, 3], outputs: 12, padding: same, upsample: { height: 5, width: 9 } },
  { x: [2, 2, 2, 128], window: [3, 3], outputs: 64, padding: same, bias: true, residual: true, activation: "silu" },
  { x: [1, 6, 13, 4], window: [5, 3], outputs: 4, padding: { top: 3, left: 0, bottom: 2, right: 1 }, bias: true },
  { x: [2, 16, 16, 64], window: [3, 3], outputs: 4, padding: same, bias: true },
  { x: [1, 4, 4, 320], window: [3, 3], outputs: 40, padding: same },
  { x: [1, 5, 6, 16], window: [3, 3], outputs: 8, padding: same, bias: true, residual: true, activation: "leaky_relu" },
  { x: [2, 5, 7, 12], window: [3, 3], outputs: 36, padding: same, bias: true, channelAdd: true, wrap: true },
  { x: [1, 1, 2, 4], window: [5, 3], outputs: 4, padding: { top: 2, left: 1, bottom: 2, right: 1 }, wrap: true },
  { x: [1, 8, 6, 8], window: [3, 3], outputs: 8, padding: same, stride: 2, wrap: true },
  { x: [2, 3, 5, 24], window: [3, 3], outputs: 12, padding: same, upsample: true, wrap: true },
  { x: [2, 2, 2, 128], window: [3, 3], outputs: 64, padding: same, bias: true, wrap: true },
];

/** Any channels: the naive rung. */
const odd: readonly Case[] = [
  { x: [1, 1, 1, 1], window: [1, 1], outputs: 1 },
  { x: [2, 5, 3, 3], window: [3, 3], outputs: 5, padding: same, bias: true, channelAdd: true, residual: true },
  { x: [1, 7, 7, 9], window: [3, 3], outputs: 3, padding: below, stride: 2, activation: "silu" },
  { x: [1, 3, 4, 7], window: [3, 3], outputs: 2, padding: same, upsample: true, stride: 2 },
];

function describeCase({
  x,
  window,
  outputs,
  stride,
  padding,
  upsample,
  wrap,
  bias,
  channelAdd,
  activation,
  residual,
}: Case): string {
  const border = padding && padding !== same && `padding ${Object.values(padding)}`;
  const terms = [
    stride && `stride ${stride}`,
    border,
    wrap && "wrap",
    upsample && "upsample",
    bias && "bias",
    channelAdd && "channel add",
  ];
  return `[${x}] ${window.join("x")} -> ${outputs}${[...terms, activation, residual && "residual"]
    .filter(Boolean)
    .map((term) => `, ${term}`)
    .join("")}`;
}

async function check(gpu: TestDevice, dtype: "f32" | "f16", c: Case, rung?: Conv2dRung, weightType = dtype): Promise<void> {
  const [samples, , , channels] = c.x;
  const x = gpu.random(c.x, dtype);
  const weight = gpu.random([...c.window, channels, c.outputs], weightType, { std: 1 / Math.sqrt(9 * channels) });
  const bias = c.bias ? gpu.random([c.outputs]) : undefined;
  const channelAdd = c.channelAdd ? gpu.random([samples, c.outputs], dtype) : undefined;
  const shape = oracle.conv2d(x.values, weight.values, c).shape;
  const residual = c.residual ? gpu.random(shape, dtype) : undefined;
  const y = gpu.device.scope(() =>
    conv2d(
      x.upload(),
      weight.upload(),
      {
        bias: bias?.upload(),
        channelAdd: channelAdd?.upload(),
        residual: residual?.upload(),
        activation: c.activation ?? "none",
        stride: c.stride ?? 1,
        padding: c.padding ?? 0,
        upsample: c.upsample ?? false,
        wrap: c.wrap ?? false,
      },
      rung,
    ),
  );
  expect(y.shape).toEqual(shape);
  const actual = await y.read();
  y.free();
  const terms = { bias: bias?.values, channelAdd: channelAdd?.values, residual: residual?.values };
  closeTo(actual, oracle.conv2d(x.values, weight.values, c, terms).values, tolerance[dtype], rung);
}

describe("software tier", () => {
  const gpu = useDevice({ tier: "software" });

  forEachDType((dtype) => {
    for (const rung of rungs) {
      for (const c of rung === "naive" ? [...odd, ...cases] : cases) {
        test(`${rung} ${describeCase(c)}`, async ({ skip }) => {
          if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
          if (rung === "software") needs(gpu.device, "subgroups", skip);
          await check(gpu, dtype, c, rung);
        });
      }
    }
  });

  /** Tiles of 32 or 8 rows by 32 or 64 columns, whole and in part; outputs in eights or only in fours. */
  const mixed: readonly Case[] = [
    ...cases,
    { x: [1, 3, 3, 8], window: [1, 1], outputs: 40, bias: true, residual: true },
    { x: [1, 3, 5, 16], window: [3, 3], outputs: 100, padding: same, bias: true },
    { x: [2, 2, 2, 64], window: [3, 3], outputs: 136, padding: same, bias: true, channelAdd: true },
    { x: [1, 7, 9, 32], window: [3, 3], outputs: 72, padding: same, bias: true, channelAdd: true, residual: true },
    { x: [1, 1, 65, 20], window: [1, 1], outputs: 128, bias: true, residual: true, activation: "gelu" },
    { x: [1, 5, 5, 12], window: [3, 3], outputs: 64, padding: same, upsample: true, bias: true, wrap: true },
  ];
  for (const c of mixed) {
    test(`software, weights in f16 beside f32: ${describeCase(c)}`, async ({ skip }) => {
      needs(gpu.device, "shader-f16", skip);
      needs(gpu.device, "subgroups", skip);
      await check(gpu, "f32", c, "software", "f16");
    });
  }

  test("the rung that is chosen takes every shape", async () => {
    for (const c of [...odd, ...cases]) await check(gpu, "f32", c);
  });

  test("errors give both shapes", () => {
    gpu.device.scope(() => {
      const x = gpu.device.empty([1, 4, 4, 8], "f32");
      const weight = gpu.device.empty([3, 3, 4, 6], "f32");
      expect(() => conv2d(x, weight)).toThrow(/x \[1, 4, 4, 8\] has 8 channels, the weights \[3, 3, 4, 6\] take 4/);
      const fits = gpu.device.empty([3, 3, 8, 6], "f32");
      expect(() => conv2d(x, fits, { channelAdd: x })).toThrow(ShapeError);
      expect(() => conv2d(x, fits, { residual: x })).toThrow(/residual has shape \[1, 4, 4, 8\], the output \[1, 2, 2, 6\]/);
      expect(() => conv2d(x, fits, {}, "software")).toThrow(/channels in fours/);
      const large = gpu.device.empty([5, 5, 8, 4], "f32");
      expect(() => conv2d(x, large)).toThrow(/5 x 5 does not fit/);
      return undefined;
    });
  });
});

describe("an adapter with default limits, no f16, no subgroups", () => {
  const gpu = useDevice({ ...limited, tier: "f32" });
  for (const c of cases) test(describeCase(c), () => check(gpu, "f32", c));
});

describe("tensors larger than a binding", () => {
  const gpu = useDevice({ limits: { maxStorageBufferBindingSize: 49152 } });
  const large: readonly Case[] = [
    { x: [2, 48, 33, 8], window: [3, 3], outputs: 12, padding: same, bias: true, channelAdd: true, residual: true },
    { x: [1, 64, 31, 8], window: [3, 3], outputs: 4, padding: below, stride: 2 },
    { x: [1, 16, 16, 16], window: [3, 3], outputs: 16, padding: same, upsample: true },
    { x: [1, 64, 64, 4], window: [1, 1], outputs: 8 },
    { x: [2, 48, 33, 8], window: [3, 3], outputs: 12, padding: same, bias: true, residual: true, wrap: true },
    { x: [1, 16, 16, 16], window: [3, 3], outputs: 16, padding: same, upsample: true, wrap: true },
    { x: [1, 16, 16, 16], window: [3, 3], outputs: 16, padding: same, upsample: { height: 32, width: 31 }, wrap: true },
    { x: [1, 64, 31, 8], window: [3, 3], outputs: 8, padding: same, stride: 2, wrap: true },
  ];
  for (const rung of rungs) {
    for (const c of large) {
      test(`${rung} ${describeCase(c)} runs in bands`, async ({ skip }) => {
        if (rung === "software") needs(gpu.device, "subgroups", skip);
        await check(gpu, "f32", c, rung);
      });
    }
  }

  test("bands fit, begin on aligned bytes and see every input row under them", () => {
    gpu.device.scope(() => {
      for (const stride of [1, 2] as const)
        for (const upsample of [false, true])
          for (const width of [64, 48, 17]) {
            const x = gpu.device.empty([1, 90, width, 4], "f32");
            const weight = gpu.device.empty([3, 3, 4, 4], "f32");
            const sizes = convolutionOf(x, weight, { padding: 1, stride, upsample });
            const rowBytes = [sizes.width * 16, sizes.outWidth * 16] as const;
            const bands = bandsOf(sizes, ...rowBytes, 40000, 256);
            expect(bands.length).toBeGreaterThan(1);
            let next = 0;
            for (const band of bands) {
              expect(band.begin).toBe(next);
              next += band.rows;
              expect((band.begin * rowBytes[1]) % 256).toBe(0);
              expect((band.inputBegin * rowBytes[0]) % 256).toBe(0);
              expect(band.rows * rowBytes[1]).toBeLessThanOrEqual(40000);
              expect(band.inputRows * rowBytes[0]).toBeLessThanOrEqual(40000);
              const scale = upsample ? 2 : 1;
              for (let row = band.begin; row < next; row++)
                for (const tap of [0, 1, 2]) {
                  const virtual = row * stride + tap - 1;
                  if (virtual < 0 || virtual >= 90 * scale) continue;
                  const input = Math.floor(virtual / scale) - band.inputBegin;
                  expect(input).toBeGreaterThanOrEqual(0);
                  expect(input).toBeLessThan(band.inputRows);
                }
            }
            expect(next).toBe(sizes.outHeight);
          }
      return undefined;
    });
  });
});

describe("weights larger than a binding", () => {
  // A tap takes 1 KiB, so that a binding holds a row of the window, or two taps. Maps go in bands, too.
  const split: readonly Case[] = [
    { x: [2, 12, 8, 16], window: [3, 3], outputs: 16, padding: same, bias: true, channelAdd: true, residual: true },
    { x: [1, 9, 8, 16], window: [3, 3], outputs: 16, padding: below, stride: 2, bias: true, activation: "silu", residual: true },
    { x: [1, 7, 6, 16], window: [3, 3], outputs: 16, padding: same, upsample: true },
    { x: [2, 12, 8, 16], window: [3, 3], outputs: 16, padding: same, bias: true, wrap: true },
    { x: [1, 5, 8, 16], window: [1, 5], outputs: 16, bias: true },
  ];
  const gpu = useDevice();
  for (const limit of [4096, 2048]) {
    for (const rung of rungs) {
      for (const c of split) {
        test(`${rung} ${describeCase(c)} in bindings of ${limit} bytes`, async ({ skip }) => {
          if (rung === "software") needs(gpu.device, "subgroups", skip);
          await withBindingsOf(gpu.device, limit, () => check(gpu, "f32", c, rung));
        });
      }
    }
  }

  test("f16: the parts' sums are rounded once", async ({ skip }) => {
    needs(gpu.device, "shader-f16", skip);
    await withBindingsOf(gpu.device, 4096, () => check(gpu, "f16", { ...split[0]!, x: [2, 12, 8, 32] }));
  });

  test.each([
    [9, 1],
    [8, 2],
    [3, 3],
    [2, 6],
    [1, 9],
  ])("a binding of %i taps makes %i parts of 3 x 3, which cover it", (taps, count) => {
    const sizes = { kernelHeight: 3, kernelWidth: 3 } as Parameters<typeof windowParts>[0];
    const parts = windowParts(sizes, 9 * 256, taps * 256)!;
    expect(parts).toHaveLength(count);
    const covered = parts.flatMap(({ top, left, height, width }) => {
      expect(height * width).toBeLessThanOrEqual(taps);
      expect(height === 1 || width === 3).toBe(true);
      return Array.from({ length: height * width }, (_, i) => top * 3 + left + i);
    });
    expect(covered).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(windowParts(sizes, 9 * 256, 255)).toBeUndefined();
  });
});
