import { describe, expect, test } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import {
  add,
  cast,
  columns,
  composedGuidance,
  concat,
  copy,
  fill,
  geglu,
  gelu,
  guidance,
  leakyRelu,
  modelInput,
  prelu,
  quickGelu,
  scale,
  silu,
} from "../../kernels/index.ts";
import * as oracle from "../oracle/elementwise.ts";
import { closeTo, difference, forEachDType, limited, needs, normals, useDevice } from "./harness.ts";

// f32: a dozen roundings of 2^-24, and those inside exp. f16: one rounding of the result, at most 2^-11 of it.
const tolerance = { f32: 2e-6, f16: 5e-4 };
const counts = [1, 63, 65, 256, 4100];
const operations = { silu, gelu, quick_gelu: quickGelu, leaky_relu: leakyRelu };

describe("element-wise kernels", () => {
  const gpu = useDevice();

  forEachDType((dtype) => {
    for (const name of ["silu", "gelu", "quick_gelu", "leaky_relu"] as const) {
      test.for(counts)(`${name} of %i`, async (count, { skip }) => {
        if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
        const x = gpu.input([count], normals(count, { std: 3 }).fill(1, 0, 1), dtype); // tolerances are relative to the largest
        const actual = await gpu.evaluate(() => operations[name](x.upload()));
        closeTo(actual, Array.from(x.values, oracle.activations[name]), tolerance[dtype]);
      });
    }

    test.for([
      [1, 1],
      [63, 3],
      [65, 64],
    ] as const)("prelu of %i rows, %i channels", async ([rows, channels], { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const [x, slopes] = [gpu.random([rows, channels], dtype), gpu.random([channels])];
      const actual = await gpu.evaluate(() => prelu(x.upload(), slopes.upload()));
      closeTo(actual, oracle.prelu(x.values, slopes.values), tolerance[dtype]);
    });

    test.for([
      [1, 1],
      [63, 3],
      [65, 4],
      [2, 320],
      [1030, 256],
    ] as const)("geglu of %i rows, width %i", async ([rows, width], { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const x = gpu.random([rows, 2 * width], dtype);
      const actual = await gpu.evaluate(() => geglu(x.upload()));
      closeTo(actual, oracle.geglu(x.values, rows, width), tolerance[dtype]);
    });

    test.for(counts)("add and scale of %i", async (count, { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const [a, b] = [gpu.random([count], dtype), gpu.random([count], dtype)];
      const sum = await gpu.evaluate(() => add(a.upload(), b.upload()));
      closeTo(
        sum,
        a.values.map((value, i) => value + b.values[i]!),
        tolerance[dtype],
      );
      const scaled = await gpu.evaluate(() => scale(a.upload(), -0.18215));
      closeTo(
        scaled,
        a.values.map((value) => -0.18215 * value),
        tolerance[dtype],
      );
    });

    test.for([
      [1, 1],
      [3, 5],
      [64, 32],
      [4, 63],
      [320, 640],
    ] as const)("concat of %i and %i channels", async ([widthA, widthB], { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const [a, b] = [gpu.random([2, 3, 5, widthA], dtype), gpu.random([2, 3, 5, widthB], dtype)];
      const actual = await gpu.evaluate(() => concat(a.upload(), b.upload()));
      expect(Array.from(actual)).toEqual(Array.from(oracle.concat(a.values, b.values, 30)));
    });

    test.for([
      [0, 1],
      [3, 5],
      [4, 8],
    ] as const)("columns from %i on, %i of 12", async ([first, count], { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const x = gpu.random([2, 3, 5, 12], dtype);
      const actual = await gpu.evaluate(() => columns(x.upload(), first, count));
      expect(Array.from(actual)).toEqual(Array.from(x.values).filter((_, i) => i % 12 >= first && i % 12 < first + count));
    });

    test.for(counts)("cast, copy and fill of %i", async (count, { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const x = gpu.random([count], "f32", { std: 100 });
      expect(await gpu.evaluate(() => cast(x.upload(), dtype))).toEqual(gpu.input([count], x.values, dtype).values);
      const there = gpu.input([count], x.values, dtype);
      expect(await gpu.evaluate(() => cast(there.upload(), "f32"))).toEqual(there.values);
      const even = gpu.random([2 * count], dtype); // copies move whole words
      expect(await gpu.evaluate(() => copy(even.upload()))).toEqual(even.values);
      expect(await gpu.evaluate(() => fill(gpu.device, [count], -1.5, dtype))).toEqual(new Float32Array(count).fill(-1.5));
    });

    test.for([
      [1, 1],
      [1, 63],
      [3, 65],
    ] as const)("guidance of batch %i, %i numbers each", async ([batch, size], { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const both = gpu.random([2 * batch, size], dtype, { mean: 10, std: 0.1 }); // nothing cancels
      const actual = await gpu.evaluate(() => guidance(both.upload(), 7.5));
      const expected = both.values
        .slice(0, batch * size)
        .map((uncond, i) => uncond + 7.5 * (both.values[i + batch * size]! - uncond));
      closeTo(actual, expected, tolerance.f32);
    });

    test.for([1, 2, 8])("composed guidance of %i prompts", async (parts, { skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const size = 65;
      const all = gpu.random([parts + 1, size], dtype, { mean: 10, std: 0.1 });
      const strengths = Array.from({ length: parts }, (_, p) => 0.5 + p);
      const actual = await gpu.evaluate(() => composedGuidance(all.upload(), strengths));
      const expected = all.values
        .slice(0, size)
        .map((uncond, i) => strengths.reduce((sum, s, p) => sum + s * (all.values[i + (p + 1) * size]! - uncond), uncond));
      closeTo(actual, expected, tolerance.f32);
    });

    test("modelInput with a number, a tensor and copies", async ({ skip }) => {
      if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
      const latent = gpu.random([3, 5, 7, 4], "f32", { std: 14 });
      const once = latent.values.map((value) => 0.25 * value);
      const factor = gpu.input([1], Float32Array.of(0.25));
      const copies = await gpu.evaluate(() => modelInput(latent.upload(), { factor: 0.25, copies: 2, dtype }));
      closeTo(copies, [...once, ...once], tolerance[dtype]);
      expect(await gpu.evaluate(() => modelInput(latent.upload(), { factor: factor.upload(), copies: 2, dtype }))).toEqual(
        copies,
      );
      closeTo(await gpu.evaluate(() => modelInput(latent.upload(), { dtype })), latent.values, tolerance[dtype]);
    });
  });

  test("gelu is exact to an ulp of its argument, and quick_gelu and silu survive large numbers", async () => {
    const x = gpu.input(
      [40001],
      Float32Array.from({ length: 40001 }, (_, i) => (i - 20000) / 2000),
    );
    const actual = await gpu.evaluate(() => gelu(x.upload()));
    const worst = difference(actual, Array.from(x.values, oracle.activations.gelu));
    console.info(`gelu: max |error| ${worst.absolute.toExponential(2)} at ${x.values[worst.index]}`);
    expect(worst.absolute).toBeLessThan(1e-6);
    const small = difference(actual.subarray(15000, 25001), Array.from(x.values.subarray(15000, 25001), oracle.activations.gelu));
    expect(small.absolute).toBeLessThan(3e-7);
    const large = gpu.input([4], Float32Array.of(-1e4, -100, 100, 1e4));
    for (const operation of [silu, gelu, quickGelu]) {
      closeTo(await gpu.evaluate(() => operation(large.upload())), [0, 0, 100, 1e4], 1e-30);
    }
  });

  test("more than 65,535 workgroups fold into a second axis", async () => {
    const count = 64 * 65536 + 3;
    const actual = await gpu.evaluate(() => fill(gpu.device, [count], 3, "u32"));
    expect(actual.every((value) => value === 3)).toBe(true);
  });

  test("shapes that don't fit are refused", () => {
    gpu.device.scope(() => {
      const x = gpu.device.empty([3, 2, 2, 5]);
      expect(() => geglu(x)).toThrow(/is 5, expected an even number/);
      expect(() => guidance(x, 7)).toThrow(ShapeError);
      expect(() => composedGuidance(x, [1])).toThrow(ShapeError);
      expect(() => add(x, gpu.device.empty([3, 2, 2, 6]))).toThrow(/shapes differ/);
      expect(() => concat(x, gpu.device.empty([2, 3, 2, 5]))).toThrow(/only the last axes may differ/);
      expect(() => columns(x, 2, 5)).toThrow(/2\.\.7 lie outside 0\.\./);
      expect(() => modelInput(gpu.device.empty([1, 2, 2, 4], "f32"), { factor: x })).toThrow(ShapeError);
    });
  });
});

describe("bindings of 64 KiB", () => {
  const gpu = useDevice({ ...limited, limits: { ...limited.limits, maxStorageBufferBindingSize: 65536 } });

  test("element-wise kernels work in bands", async () => {
    const x = gpu.random([2, 101, 100, 4]);
    closeTo(await gpu.evaluate(() => silu(x.upload())), Array.from(x.values, oracle.activations.silu), tolerance.f32);
    closeTo(await gpu.evaluate(() => geglu(x.upload())), oracle.geglu(x.values, 20200, 2), tolerance.f32);
    const b = gpu.random([2, 101, 100, 3]);
    expect(Array.from(await gpu.evaluate(() => concat(x.upload(), b.upload())))).toEqual(
      Array.from(oracle.concat(x.values, b.values, 20200)),
    );
    const middle = Array.from(x.values).filter((_, i) => i % 4 === 1 || i % 4 === 2);
    expect(Array.from(await gpu.evaluate(() => columns(x.upload(), 1, 2)))).toEqual(middle);
  });
});
