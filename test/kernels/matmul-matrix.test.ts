/** @file GEMM on subgroup matrices: against the oracle where an adapter has them, through Dawn's compiler everywhere. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Device, ShapeError } from "../../engine/index.ts";
import { gegluCode } from "../../kernels/matmul/epilogue.ts";
import { matmul, matmulGeglu, matmulMatrix, matmulMatrixSlab } from "../../kernels/matmul/index.ts";
import { type MatrixPlan, matrixPlan, matrixPlans } from "../../kernels/matmul/matrix-plan.ts";
import { matrix } from "../../kernels/matmul/rungs.ts";
import { geglu } from "../oracle/elementwise.ts";
import * as oracle from "../oracle/matmul.ts";
import { closeTo, createNullDevice, useDevice } from "./harness.ts";
import { accepts, fakeConfig, noMatrices, useMatrixDevice } from "./matrix-device.ts";

// Operands and result are f16 (2^-11 a rounding), sums f32: the result's rounding is all that is lost.
const tolerance = 1e-3;

interface Case {
  readonly shape: readonly [rows: number, inner: number, columns: number];
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly activation?: "silu";
}

/** Partial tiles in rows, columns and inner numbers; one row; many tiles. */
const cases: readonly Case[] = [
  { shape: [1, 8, 8] },
  { shape: [1, 64, 256], bias: true },
  { shape: [70, 72, 136], bias: true, residual: true },
  { shape: [33, 40, 24], residual: true },
  { shape: [130, 24, 72], bias: true },
  { shape: [65, 128, 64], bias: true, residual: true, activation: "silu" },
];

/** Inner numbers enough for slices; the last has a slice that is shorter. */
const sliced: readonly Case[] = [
  { shape: [40, 1280, 72], bias: true, residual: true },
  { shape: [8, 2072, 40], bias: true, activation: "silu" },
];

describe("matrix tier", () => {
  const gpu = useMatrixDevice();

  async function check(c: Case, choose?: (plan: MatrixPlan) => boolean) {
    const [rows, inner, columns] = c.shape;
    const x = gpu.random([rows, inner], "f16");
    const weight = gpu.random([inner, columns], "f16", { std: 1 / Math.sqrt(inner) });
    const bias = c.bias ? gpu.random([columns]) : undefined;
    const residual = c.residual ? gpu.random([rows, columns], "f16") : undefined;
    const product = { rows, inner, columns };
    const activation = c.activation ?? "none";
    const actual = await gpu.evaluate(() => {
      const options = { bias: bias?.upload(), residual: residual?.upload(), activation } as const;
      const plan = choose && matrixPlans(gpu.device, product).find(choose);
      if (choose) expect(plan).toBeDefined();
      return matrix(x.upload(), weight.upload(), options, product, plan);
    });
    const terms = { bias: bias?.values, residual: residual?.values, activation } as const;
    const expected = oracle.matmul(x.values, weight.values, { ...product, ...terms });
    const { relative } = closeTo(actual, expected, tolerance);
    console.info(`${c.shape}: ${relative.toExponential(1)}`);
  }

  for (const c of cases) {
    test(`[${c.shape}] ${Object.keys(c).slice(1).join(", ")}`, ({ skip }) => {
      noMatrices(gpu.device, skip);
      return check(c, ({ slices }) => slices === 1);
    });
  }

  for (const c of sliced) {
    test(`[${c.shape}] in slices`, ({ skip }) => {
      noMatrices(gpu.device, skip);
      return check(c, ({ slices }) => slices > 1);
    });
  }

  // The large tiles are not chosen on a software driver, so they are asked for, with the least depth (its compiler is slow).
  for (const [BLOCKS_M, BLOCKS_N] of [
    [4, 4],
    [4, 2],
  ] as const) {
    test(`blocks of ${BLOCKS_M} x ${BLOCKS_N}`, async ({ skip }) => {
      noMatrices(gpu.device, skip);
      const product = { rows: 70, inner: 40, columns: 72 };
      const x = gpu.random([product.rows, product.inner], "f16");
      const weight = gpu.random([product.inner, product.columns], "f16", { std: 0.1 });
      const actual = await gpu.evaluate(() => {
        const { tunables, ...plan } = matrixPlans(gpu.device, product)[0]!;
        const DEPTH = Math.max(8, tunables.MATRIX_K);
        const tile = { rows: 2 * BLOCKS_M * tunables.MATRIX_M, columns: 2 * BLOCKS_N * tunables.MATRIX_N };
        const [down, across] = [Math.ceil(product.rows / tile.rows), Math.ceil(product.columns / tile.columns)];
        const steps = Math.ceil(product.inner / DEPTH);
        const large = {
          ...plan,
          ...tile,
          down,
          across,
          steps,
          slice: steps,
          tunables: { ...tunables, BLOCKS_M, BLOCKS_N, DEPTH },
        };
        return matrix(x.upload(), weight.upload(), {}, product, large);
      });
      closeTo(actual, oracle.matmul(x.values, weight.values, product), tolerance);
    });
  }

  test("GEGLU in the epilogue", async ({ skip }) => {
    noMatrices(gpu.device, skip);
    for (const [rows, inner, columns] of [
      [35, 24, 112],
      [8, 40, 16],
    ] as const) {
      const x = gpu.random([rows, inner], "f16");
      const weight = gpu.random([inner, columns], "f16", { std: 1 / Math.sqrt(inner) });
      const bias = gpu.random([columns]);
      const actual = await gpu.evaluate(() => matmulGeglu(x.upload(), weight.upload(), { bias: bias.upload() }, "matrix"));
      const wide = oracle.matmul(x.values, weight.values, { rows, inner, columns, bias: bias.values });
      closeTo(actual, geglu(Float32Array.from(wide), rows, columns / 2), tolerance);
    }
  });
});

describe("tiled GEGLU", () => {
  const gpu = useDevice({ tier: "f32" });
  test.each([
    [70, 20, 72],
    [3, 8, 136],
  ])("[%i, %i] x %i columns", async (rows, inner, columns) => {
    const x = gpu.random([rows, inner]);
    const weight = gpu.random([inner, columns], "f32", { std: 1 / Math.sqrt(inner) });
    const bias = gpu.random([columns]);
    const actual = await gpu.evaluate(() => matmulGeglu(x.upload(), weight.upload(), { bias: bias.upload() }));
    const wide = oracle.matmul(x.values, weight.values, { rows, inner, columns, bias: bias.values });
    closeTo(actual, geglu(Float32Array.from(wide), rows, columns / 2), 4e-6);
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
    const plans = matrixPlans(fakeConfig(device, config), { rows: 1024, inner: 1280, columns: 1280 });
    expect(plans.length).toBeGreaterThan(2);
    for (const { tunables, slices } of plans) {
      for (const ACTIVATION of [0, 1, gegluCode]) await accepts(device, matmulMatrix, { ...tunables, ACTIVATION });
      if (slices > 1) await accepts(device, matmulMatrixSlab, tunables);
    }
  });

  test("slices fill a GPU where the output is small, and are left out where it is large", () => {
    fakeConfig(device, { M: 16, N: 16, K: 16, lanes: 32 });
    expect(matrixPlan(device, { rows: 128, inner: 11520, columns: 1280 })!.slices).toBeGreaterThan(3);
    expect(matrixPlan(device, { rows: 8192, inner: 2880, columns: 320 })!.slices).toBe(1);
    expect(matrixPlan(device, { rows: 8192, inner: 320, columns: 2560 })).toMatchObject({ slices: 1, rows: 128, columns: 128 });
  });

  test("other operands go to other rungs", () => {
    fakeConfig(device, { M: 16, N: 16, K: 16, lanes: 32 });
    device.scope(() => {
      const [x, weight] = [device.empty([4, 12], "f16"), device.empty([12, 16], "f16")];
      expect(() => matmul(x, weight, {}, "matrix")).toThrow(ShapeError);
      expect(matmul(x, weight).shape).toEqual([4, 16]);
      return undefined;
    });
  });
});
