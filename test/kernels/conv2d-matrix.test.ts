/** @file Convolution on subgroup matrices: against the oracle where an adapter has them, through Dawn's compiler everywhere. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Device, ShapeError } from "../../engine/index.ts";
import { convolutionOf } from "../../kernels/conv2d/convolution.ts";
import { conv2d, conv2dMatrix, conv2dMatrixSlab } from "../../kernels/conv2d/index.ts";
import { matrix, productOf } from "../../kernels/conv2d/rungs.ts";
import { type MatrixPlan, matrixPlans } from "../../kernels/matmul/matrix-plan.ts";
import * as oracle from "../oracle/conv2d.ts";
import { closeTo, createNullDevice, type TestDevice } from "./harness.ts";
import { accepts, fakeConfig, noMatrices, useMatrixDevice } from "./matrix-device.ts";

// Operands and result are f16 (2^-11 a rounding), sums f32: the result's rounding is all that is lost.
const tolerance = 1e-3;

interface Case extends oracle.Conv2dCase {
  readonly bias?: boolean;
  readonly residual?: boolean;
  /** Columns of rows that are this much longer than the output's. */
  readonly channelAdd?: number;
}

const same = { top: 1, left: 1, bottom: 1, right: 1 };
const below = { top: 0, left: 0, bottom: 1, right: 1 };

const cases: readonly Case[] = [
  { x: [1, 1, 1, 8], window: [1, 1], outputs: 8 },
  { x: [2, 5, 7, 24], window: [1, 1], outputs: 40, bias: true, residual: true },
  { x: [2, 9, 7, 8], window: [3, 3], outputs: 72, padding: same, bias: true, channelAdd: 16 },
  { x: [1, 9, 8, 16], window: [3, 3], outputs: 16, padding: same, stride: 2, bias: true },
  { x: [1, 8, 9, 16], window: [3, 3], outputs: 8, padding: below, stride: 2 },
  { x: [2, 3, 5, 24], window: [3, 3], outputs: 64, padding: same, upsample: true, bias: true },
  { x: [2, 5, 7, 24], window: [3, 3], outputs: 40, padding: same, bias: true, wrap: true },
  { x: [2, 3, 5, 24], window: [3, 3], outputs: 64, padding: same, upsample: true, wrap: true },
  { x: [1, 6, 13, 8], window: [5, 3], outputs: 8, padding: { top: 3, left: 0, bottom: 2, right: 1 }, residual: true },
];

const sliced: readonly Case[] = [
  { x: [2, 4, 4, 160], window: [3, 3], outputs: 40, padding: same, bias: true, residual: true, channelAdd: 8 },
];

async function check(gpu: TestDevice, c: Case, choose: (plan: MatrixPlan) => boolean): Promise<void> {
  const [samples, , , channels] = c.x;
  const x = gpu.random(c.x, "f16");
  const weight = gpu.random([...c.window, channels, c.outputs], "f16", { std: 1 / Math.sqrt(9 * channels) });
  const bias = c.bias ? gpu.random([c.outputs]) : undefined;
  const longer = c.channelAdd;
  const channelAdd = longer === undefined ? undefined : gpu.random([samples, c.outputs + longer], "f16");
  const shape = oracle.conv2d(x.values, weight.values, c).shape;
  const residual = c.residual ? gpu.random(shape, "f16") : undefined;
  const actual = await gpu.evaluate(() => {
    const [input, window] = [x.upload(), weight.upload()];
    const options = {
      bias: bias?.upload(),
      residual: residual?.upload(),
      channelAdd: channelAdd?.upload(),
      channelAddColumn: longer,
      stride: c.stride ?? 1,
      padding: c.padding ?? 0,
      upsample: c.upsample ?? false,
      wrap: c.wrap ?? false,
    } as const;
    const sizes = convolutionOf(input, window, options);
    const plan = matrixPlans(gpu.device, productOf(sizes)).find(choose);
    expect(plan).toBeDefined();
    const y = matrix(input, window, options, sizes, plan);
    expect(y.shape).toEqual(shape);
    return y;
  });
  const own = channelAdd?.values.filter((_, i) => i % (c.outputs + longer!) >= longer!);
  const terms = { bias: bias?.values, channelAdd: own, residual: residual?.values };
  const { relative } = closeTo(actual, oracle.conv2d(x.values, weight.values, c, terms).values, tolerance);
  console.info(`[${c.x}] ${c.window} -> ${c.outputs}: ${relative.toExponential(1)}`);
}

describe("matrix tier", () => {
  const gpu = useMatrixDevice();
  for (const c of cases) {
    test(`[${c.x}] ${c.window} -> ${c.outputs} ${Object.keys(c).slice(3).join(", ")}`, ({ skip }) => {
      noMatrices(gpu.device, skip);
      return check(gpu, c, ({ slices }) => slices === 1);
    });
  }
  for (const c of sliced) {
    test(`[${c.x}] ${c.window} -> ${c.outputs} in slices`, ({ skip }) => {
      noMatrices(gpu.device, skip);
      return check(gpu, c, ({ slices }) => slices > 1);
    });
  }
});

describe("tensors larger than a binding", () => {
  const gpu = useMatrixDevice({ limits: { maxStorageBufferBindingSize: 49152 } });
  test("run in bands", async ({ skip }) => {
    noMatrices(gpu.device, skip);
    const c: Case = { x: [2, 48, 33, 16], window: [3, 3], outputs: 24, padding: same, bias: true, channelAdd: 0, residual: true };
    await check(gpu, c, ({ slices }) => slices === 1);
  });
});

describe("the compiler takes every tile", () => {
  let device: Device;
  beforeAll(async () => {
    device = await createNullDevice({ tier: "matrix", precision: "f16" });
  });
  afterAll(() => device.close());

  test.each([
    { M: 8, N: 8, K: 8, lanes: 32 },
    { M: 16, N: 16, K: 16, lanes: 32 },
    { M: 16, N: 8, K: 16, lanes: 32 },
    { M: 8, N: 16, K: 16, lanes: 32 },
  ])("of matrices $M x $N x $K", async (config) => {
    const plans = matrixPlans(fakeConfig(device, config), { rows: 1024, inner: 2880, columns: 320 });
    expect(plans.length).toBeGreaterThan(2);
    for (const { tunables, slices } of plans) {
      await accepts(device, slices > 1 ? conv2dMatrixSlab : conv2dMatrix, tunables);
    }
  });

  test("other operands go to other rungs", () => {
    fakeConfig(device, { M: 16, N: 16, K: 16, lanes: 32 });
    device.scope(() => {
      const [x, weight] = [device.empty([1, 4, 4, 4], "f16"), device.empty([3, 3, 4, 16], "f16")];
      expect(() => conv2d(x, weight, { padding: 1 }, "matrix")).toThrow(ShapeError);
      expect(conv2d(x, weight, { padding: 1 }).shape).toEqual([1, 4, 4, 16]);
      return undefined;
    });
  });
});
