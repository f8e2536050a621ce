import { expect, test } from "vitest";
import { countNonFinite, toPixels } from "../../kernels/index.ts";
import { toByte } from "../oracle/elementwise.ts";
import { forEachDType, needs, uniform, useDevice } from "./harness.ts";

const gpu = useDevice();

forEachDType((dtype) => {
  test.for([
    [1, 1, 1],
    [2, 9, 7],
    [1, 65, 63],
  ] as const)("toPixels of %i x %i x %i", async ([n, height, width], { skip }) => {
    if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
    const x = gpu.random([n, height, width, 4], dtype, { std: 0.7 });
    const words = await gpu.evaluateU32(() => toPixels(x.upload()));
    const bytes = new Uint8Array(words.buffer);
    // Not one byte may differ, except where f32's (x + 1) * 127.5 falls on the other side of a half.
    const wrong = bytes.filter((byte, i) => {
      if (i % 4 === 3) return byte !== 255;
      const exact = (Math.min(1, Math.max(-1, x.values[i]!)) + 1) * 127.5;
      return byte !== toByte(x.values[i]!) && Math.abs(exact - Math.floor(exact) - 0.5) > 2e-5;
    });
    expect(wrong).toHaveLength(0);
  });
});

test("halves go to the even neighbour, and what lies outside [-1, 1] is clamped", async () => {
  // (0 + 1) * 127.5 lies between 127 and 128.
  const x = gpu.input([1, 1, 2, 4], Float32Array.of(-2, 2, 0, 0, -1, 1, Number.POSITIVE_INFINITY, 0));
  const bytes = new Uint8Array((await gpu.evaluateU32(() => toPixels(x.upload()))).buffer);
  expect([...bytes]).toEqual([0, 255, 128, 255, 0, 255, 255, 255]);
});

forEachDType((dtype) => {
  test.for([1, 2, 63, 65, 257, 100_001])("countNonFinite among %i", async (count, { skip }) => {
    if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
    const values = Float32Array.from({ length: count }, () => 1e4 * (uniform() - 0.5));
    const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const places = new Set([0, count - 1, Math.floor(uniform() * count), Math.floor(uniform() * count)]);
    for (const place of places) values[place] = bad[place % 3]!;
    const found = await gpu.evaluateU32(() => {
      const counter = gpu.device.upload(Uint32Array.of(5), [1], "u32");
      countNonFinite(gpu.input([count], values, dtype).upload(), counter);
      return counter;
    });
    expect([...found]).toEqual([5 + places.size]);
  });
});

test("the largest numbers are finite", async () => {
  const x = gpu.input([4], Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 1e-45, -0));
  const found = await gpu.evaluateU32(() => {
    const counter = gpu.device.upload(Uint32Array.of(0), [1], "u32");
    countNonFinite(x.upload(), counter);
    return counter;
  });
  expect([...found]).toEqual([0]);
});
