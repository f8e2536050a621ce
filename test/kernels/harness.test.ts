/** @file The harness must catch what it is there for. */
import { expect, test } from "vitest";
import { defineKernel, ShapeError } from "../../engine/index.ts";
import { inBands } from "../../kernels/bands.ts";
import { closeTo, limited, needs, useDevice } from "./harness.ts";

const gpu = useDevice({ ...limited, withhold: [], limits: { ...limited.limits, maxStorageBufferBindingSize: 65536 } });

const store = defineKernel({
  name: "store",
  buffers: { y: "write" },
  uniforms: { at: "u32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(1)
    fn main() { y[uniforms.at] = 1; }`,
});

test("new memory is NaN", async () => {
  expect((await gpu.evaluate(() => gpu.device.empty([7], "f32"))).every(Number.isNaN)).toBe(true);
});

test("a write behind the end is found", async ({ skip }) => {
  needs(gpu.device, "shader-f16", skip);
  for (const [dtype, size] of [
    ["f32", 5],
    ["f16", 5],
    ["f16", 6],
  ] as const) {
    await gpu.evaluate(() => {
      const y = gpu.device.empty([size], dtype);
      store.launch({ y }, { at: size }, [1]);
      return y;
    });
    await expect(gpu.checkGuards(), `${dtype} [${size}]`).rejects.toThrow(/wrote 0 bytes behind its end/);
  }
});

test("closeTo finds the worst element, and NaN above all", () => {
  expect(() => closeTo([1, 2.5, 4], [1, 2, 4.1], 1e-3)).toThrow(/element 1 is 2.5, expected 2.*1.22e-1.*2 of 3/);
  expect(() => closeTo([1, Number.NaN], [1, 2], 1e9)).toThrow(/element 1 is NaN/);
  expect(closeTo([1, 2.002], [1, 2], 1.1e-3).index).toBe(1);
});

test("bands cover all rows once, begin aligned and fit into a binding", () => {
  gpu.device.scope(() => {
    const [x, y] = [gpu.device.empty([5001, 12], "f32"), gpu.device.empty([5001, 5], "f32")];
    let next = 0;
    inBands("test", 5001, { x, y }, (band, rows, begin) => {
      expect(begin).toBe(next);
      expect([band.x.shape, band.y.shape]).toEqual([
        [rows, 12],
        [rows, 5],
      ]);
      expect([band.x.offset % 256, band.y.offset % 256]).toEqual([0, 0]);
      expect(band.x.bytes).toBeLessThanOrEqual(65536);
      next = begin + rows;
    });
    expect(next).toBe(5001);
    const wide = gpu.device.empty([2, 20000], "f32");
    expect(() => inBands("test", 2, { wide }, () => {})).toThrow(/80000 bytes.*65536/);
    expect(() => wide.rows(1, 3)).toThrow(ShapeError);
  });
});
