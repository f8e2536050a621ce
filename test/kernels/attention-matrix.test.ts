/** @file Attention on subgroup matrices: against the oracle where an adapter has them, through Dawn's compiler everywhere. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import { attentionMatrix, attentionRungs } from "../../kernels/attention/index.ts";
import { matrixTunables } from "../../kernels/attention/matrix.ts";
import { attentionProblem } from "../../kernels/attention/problem.ts";
import { type AttentionCase, attentionOracle } from "../oracle/attention.ts";
import { closeTo, createNullDevice } from "./harness.ts";
import { accepts, fakeConfig, noMatrices, useMatrixDevice } from "./matrix-device.ts";

// Operands, the exponentials and the result are f16 (2^-11 a rounding); the exponentials' errors are averaged, not added.
const tolerance = 2e-3;

interface Case extends AttentionCase {
  /** Deviation of q and k: 4 makes scores of 80 and more, so that the maximum grows. */
  readonly std?: number;
  /** Extra columns before the operands' first. */
  readonly margin?: number;
}

/** Two head widths: every one is compiled for itself. Partial tiles of queries and keys. */
const cases: readonly Case[] = [
  { batch: 1, queries: 1, keys: 1, heads: 1, headDim: 8 },
  { batch: 2, queries: 7, keys: 1, heads: 3, headDim: 8 },
  { batch: 1, queries: 33, keys: 65, heads: 2, headDim: 8, std: 4 },
  { batch: 2, queries: 77, keys: 77, heads: 2, headDim: 8, causal: true },
  { batch: 1, queries: 130, keys: 130, heads: 1, headDim: 8, causal: true, std: 4 },
  { batch: 2, queries: 16, keys: 77, heads: 2, headDim: 8, margin: 8, scale: 0.3 },
  { batch: 1, queries: 40, keys: 77, heads: 2, headDim: 40 },
  { batch: 2, queries: 65, keys: 65, heads: 1, headDim: 40, std: 4 },
];

describe("matrix tier", () => {
  const gpu = useMatrixDevice();
  for (const c of cases) {
    test(JSON.stringify(c), async ({ skip }) => {
      noMatrices(gpu.device, skip);
      const { batch, queries, keys, heads, headDim, std = 1, margin = 0 } = c;
      const width = margin + heads * headDim;
      const q = gpu.random([batch, queries, width], "f16", { std });
      const k = gpu.random([batch, keys, width], "f16", { std });
      const v = gpu.random([batch, keys, width], "f16");
      const columns = { q: margin, k: margin, v: margin };
      const at = ({ values }: { values: Float32Array }) => ({ values, width, column: margin });
      const actual = await gpu.evaluate(() => {
        const problem = attentionProblem(q.upload(), k.upload(), v.upload(), { ...c, columns });
        expect(attentionRungs.matrix.fits(problem)).toBe(true);
        return attentionRungs.matrix.run(problem);
      });
      const { relative } = closeTo(actual, attentionOracle(at(q), at(k), at(v), c), tolerance);
      console.info(`${queries} x ${keys} x ${headDim}: ${relative.toExponential(1)}`);
    });
  }
});

describe("the compiler takes every head width", () => {
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
  ])("with matrices $M x $N x $K", async (config) => {
    fakeConfig(device, config);
    for (const headDim of [8, 40, 64, 80, 160]) {
      const x = device.empty([1, 64, headDim], "f16");
      const tunables = matrixTunables(attentionProblem(x, x, x, { heads: 1, headDim }));
      x.free();
      expect(tunables, `heads of ${headDim}`).toBeDefined();
      await accepts(device, attentionMatrix, tunables!);
    }
  });

  test("other problems go to other rungs", () => {
    fakeConfig(device, { M: 16, N: 16, K: 16, lanes: 32 });
    const [x, wide, full] = [device.empty([1, 4, 12], "f16"), device.empty([1, 4, 512], "f16"), device.empty([1, 4, 16], "f32")];
    expect(attentionRungs.matrix.fits(attentionProblem(x, x, x, { heads: 1, headDim: 12 }))).toBe(false);
    expect(attentionRungs.matrix.fits(attentionProblem(wide, wide, wide, { heads: 1, headDim: 512 }))).toBe(false);
    expect(attentionRungs.matrix.fits(attentionProblem(full, full, full, { heads: 1, headDim: 16 }))).toBe(false);
    for (const tensor of [x, wide, full]) tensor.free();
  });
});
