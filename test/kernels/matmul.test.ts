import { describe, expect, test } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import { type MatmulRung, matmul, matmulGeglu } from "../../kernels/matmul/index.ts";
import { geglu } from "../oracle/elementwise.ts";
import * as oracle from "../oracle/matmul.ts";
import { closeTo, forEachDType, limited, needs, type TestDevice, useDevice } from "./harness.ts";

// Sums of up to 1280 products in f32; f16 adds one rounding of the result, 2^-11 of its size.
const tolerance = { f32: 3e-6, f16: 1e-3 };

/** The matrix rung, which takes f16 alone, has tests of its own. */
const rungs = ["naive", "tiled", "software"] as const;

interface Case {
  readonly shape: readonly [rows: number, inner: number, columns: number];
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly activation?: "silu" | "gelu" | "quick_gelu" | "leaky_relu";
  readonly transposed?: boolean;
  /** Weights stay f32 beside f16 activations, and the other way round. */
  readonly mixed?: boolean;
}

/** Sizes in fours: all rungs. */
const cases: readonly Case[] = [
  { shape: [1, 4, 4] },
  { shape: [1, 64, 256], bias: true, activation: "silu" },
  { shape: [8, 128, 64], residual: true },
  { shape: [63, 60, 68], bias: true },
  { shape: [65, 20, 132], bias: true, residual: true, activation: "silu" },
  { shape: [77, 128, 36] },
  { shape: [33, 36, 28], bias: true, residual: true },
  { shape: [130, 1280, 72], bias: true },
  { shape: [31, 44, 64], mixed: true, bias: true },
];

/** Any sizes: the naive rung. */
const odd: readonly Case[] = [
  { shape: [1, 1, 1] },
  { shape: [63, 65, 1], bias: true },
  { shape: [5, 63, 65], bias: true, residual: true, activation: "silu" },
  { shape: [9, 17, 11], bias: true, activation: "gelu" },
  { shape: [3, 1, 130], residual: true, activation: "quick_gelu" },
  { shape: [7, 33, 9], transposed: true, bias: true },
];

function describeCase({ shape, bias, residual, activation, transposed, mixed }: Case): string {
  const terms = [bias && "bias", activation, residual && "residual", transposed && "transposed", mixed && "mixed types"];
  return `[${shape.slice(0, 2)}] x [${shape.slice(1)}]${terms
    .filter(Boolean)
    .map((term) => ` + ${term}`)
    .join("")}`;
}

async function check(gpu: TestDevice, dtype: "f32" | "f16", c: Case, rung?: MatmulRung): Promise<void> {
  const [rows, inner, columns] = c.shape;
  const weightType = c.mixed ? (dtype === "f32" && gpu.dtypes.includes("f16") ? "f16" : "f32") : dtype;
  const x = gpu.random([rows, inner], dtype);
  const weight = gpu.random(c.transposed ? [columns, inner] : [inner, columns], weightType, { std: 1 / Math.sqrt(inner) });
  const bias = c.bias ? gpu.random([columns]) : undefined;
  const residual = c.residual ? gpu.random([rows, columns], dtype) : undefined;
  const { activation = "none", transposed = false } = c;
  const actual = await gpu.evaluate(() =>
    matmul(x.upload(), weight.upload(), { bias: bias?.upload(), residual: residual?.upload(), activation, transposed }, rung),
  );
  const terms = { bias: bias?.values, residual: residual?.values, activation, transposed } as const;
  closeTo(actual, oracle.matmul(x.values, weight.values, { rows, inner, columns, ...terms }), tolerance[dtype], rung);
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

  test("the rung that is chosen takes every shape", async () => {
    for (const c of [...odd, ...cases]) await check(gpu, "f32", c);
  });

  test("leading axes stay", async () => {
    const x = gpu.random([2, 3, 8]);
    const weight = gpu.random([8, 12]);
    const y = gpu.device.scope(() => matmul(x.upload(), weight.upload()));
    expect(y.shape).toEqual([2, 3, 12]);
    const expected = oracle.matmul(x.values, weight.values, { rows: 6, inner: 8, columns: 12 });
    closeTo(await y.read(), expected, tolerance.f32);
    y.free();
  });

  test("errors give both shapes", () => {
    gpu.device.scope(() => {
      const x = gpu.device.empty([77, 768], "f32");
      const weight = gpu.device.empty([1024, 320], "f32");
      expect(() => matmul(x, weight)).toThrow(/x is \[77, 768\] \(K = 768\), the weight \[1024, 320\] \(K = 1024\)/);
      const square = gpu.device.empty([768, 6], "f32");
      expect(() => matmul(x, square, { bias: gpu.device.empty([5], "f32") })).toThrow(ShapeError);
      expect(() => matmul(x, square, { residual: x })).toThrow(/residual has shape \[77, 768\], the output \[77, 6\]/);
      expect(() => matmul(x, square, {}, "tiled")).toThrow(/sizes in fours/);
      return undefined;
    });
  });
});

describe("an adapter with default limits, no f16, no subgroups", () => {
  const gpu = useDevice({ ...limited, tier: "f32" });
  for (const c of cases) test(`${describeCase(c)}`, () => check(gpu, "f32", { ...c, mixed: false }));
  // Enough tiles for the large workgroup.
  test("[2050, 16] x [16, 1028]", () => check(gpu, "f32", { shape: [2050, 16, 1028], bias: true }));
});

describe("tensors larger than a binding", () => {
  const gpu = useDevice({ limits: { maxStorageBufferBindingSize: 65536 } });
  for (const rung of rungs) {
    test(`${rung} runs in bands of rows`, async ({ skip }) => {
      if (rung === "software") needs(gpu.device, "subgroups", skip);
      await check(gpu, "f32", { shape: [1301, 20, 68], bias: true, residual: true }, rung);
    });
  }
});

describe("weights larger than a binding", () => {
  const gpu = useDevice({ limits: { maxStorageBufferBindingSize: 8192 } });
  for (const rung of rungs) {
    test(`${rung} takes them a part of their rows after the other`, async ({ skip }) => {
      if (rung === "software") needs(gpu.device, "subgroups", skip);
      // 61,440 bytes, so in 10 parts of 24 rows; x and y go in bands.
      await check(gpu, "f32", { shape: [37, 240, 64], bias: true, residual: true, activation: "gelu" }, rung);
    });
  }

  test("geglu", async () => {
    const [x, weight, bias] = [gpu.random([5, 240]), gpu.random([240, 64], "f32", { std: 0.06 }), gpu.random([64])];
    const actual = await gpu.evaluate(() => matmulGeglu(x.upload(), weight.upload(), { bias: bias.upload() }));
    const product = oracle.matmul(x.values, weight.values, { rows: 5, inner: 240, columns: 64, bias: bias.values });
    closeTo(actual, geglu(Float32Array.from(product), 5, 32), tolerance.f32);
  });

  test("rows that can't be cut into aligned parts are refused with both sizes", () => {
    gpu.device.scope(() => {
      const [x, weight] = [gpu.device.empty([5, 20], "f32"), gpu.device.empty([20, 132], "f32")];
      expect(() => matmul(x, weight)).toThrow(/f32\[.*\] takes 10560 bytes, a binding may have 8192/);
    });
  });
});
