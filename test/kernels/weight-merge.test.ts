/** @file Kernels that change weights where they lie, against plain loops: odd sizes, windows beside others, padding that must stay. */
import { describe, expect, it } from "vitest";
import { ShapeError, type Tensor } from "../../engine/index.ts";
import {
  gatherWeight,
  hadamard,
  kronecker,
  mergeWeight,
  rotateOutputs,
  type WeightWindow,
  weightGain,
} from "../../kernels/index.ts";
import { closeTo, useDevice } from "./harness.ts";

const gpu = useDevice();

type Shape = Omit<WeightWindow, "tensor">;

/** A vector, a linear layer beside others, a convolution with padded inputs and outputs, one of a single output. */
const windows: readonly (readonly [string, Shape])[] = [
  ["a vector", { outputs: 7, inner: 1, taps: 1, rowInputs: 1, width: 12, column: 4 }],
  ["one number", { outputs: 1, inner: 1, taps: 1, rowInputs: 1, width: 4, column: 0 }],
  ["a fused matrix", { outputs: 65, inner: 33, taps: 1, rowInputs: 33, width: 136, column: 63 }],
  ["a convolution", { outputs: 10, inner: 27, taps: 9, rowInputs: 4, width: 12, column: 0 }],
  ["many outputs", { outputs: 131, inner: 17, taps: 1, rowInputs: 17, width: 132, column: 0 }],
];

const rows = ({ taps, rowInputs }: Shape) => taps * rowInputs;
const at = ({ taps, rowInputs, width, column }: Shape, o: number, j: number) =>
  ((j % taps) * rowInputs + Math.floor(j / taps)) * width + column + o;

function each({ outputs, inner }: Shape, use: (o: number, j: number) => void): void {
  for (let o = 0; o < outputs; o++) for (let j = 0; j < inner; j++) use(o, j);
}

describe.each(windows)("%s", (_, shape) => {
  const { outputs, inner, taps, width } = shape;
  const inputs = inner / taps;
  const device = () => gpu.random([rows(shape), width]);
  const open = (tensor: Tensor): WeightWindow => ({ ...shape, tensor });

  it.each([
    ["D", { delta: true }],
    ["D and gains", { delta: true, outputGain: true, inputGain: true }],
    ["a gain of outputs", { outputGain: true }],
    ["a gain of inputs", { inputGain: true }],
    ["D in the weight's place", { delta: true, keep: 0 }],
  ] as const)("mergeWeight: %s", async (__, options) => {
    const weight = device();
    const [delta, outputGain, inputGain] = [gpu.random([outputs, inner]), gpu.random([outputs]), gpu.random([inputs])];
    const { keep = 1 } = { keep: 1, ...options };
    const actual = await gpu.evaluate(() => {
      const tensor = weight.upload();
      mergeWeight(open(tensor), {
        delta: "delta" in options ? delta.upload() : undefined,
        outputGain: "outputGain" in options ? outputGain.upload() : undefined,
        inputGain: "inputGain" in options ? inputGain.upload() : undefined,
        keep,
        scale: 0.5,
        strength: 0.7,
      });
      return tensor;
    });
    const expected = Float64Array.from(weight.values); // what is outside the window stays
    each(shape, (o, j) => {
      const w = weight.values[at(shape, o, j)]!;
      const d = "delta" in options ? 0.5 * delta.values[o * inner + j]! : 0;
      const gain =
        ("outputGain" in options ? outputGain.values[o]! : 1) *
        ("inputGain" in options ? inputGain.values[Math.floor(j / taps)]! : 1);
      expected[at(shape, o, j)] = w + 0.7 * ((keep * w + d) * gain - w);
    });
    closeTo(actual, expected, 1e-6);
  });

  it.each(["output", "input"] as const)("weightGain by %s", async (axis) => {
    const [weight, delta] = [device(), gpu.random([outputs, inner])];
    const count = axis === "output" ? outputs : inputs;
    const magnitude = gpu.random([count]);
    const epsilon = 0.125;
    for (const [changed, own] of [
      [true, true],
      [false, true],
      [true, false],
    ] as const) {
      const actual = await gpu.evaluate(() =>
        weightGain(open(weight.upload()), {
          axis,
          delta: changed ? delta.upload() : undefined,
          scale: 0.5,
          magnitude: own ? magnitude.upload() : undefined,
          epsilon,
        }),
      );
      const squares = new Float64Array(count);
      each(shape, (o, j) => {
        const w = weight.values[at(shape, o, j)]! + (changed ? 0.5 * delta.values[o * inner + j]! : 0);
        squares[axis === "output" ? o : Math.floor(j / taps)]! += w * w;
      });
      closeTo(
        actual,
        squares.map((sum, k) => (own ? magnitude.values[k]! : 1) / (Math.sqrt(sum) + epsilon)),
        1e-6,
      );
    }
  });

  it("gatherWeight", async () => {
    const weight = device();
    const expected = new Float32Array(outputs * inner);
    each(shape, (o, j) => {
      expected[o * inner + j] = weight.values[at(shape, o, j)]!;
    });
    expect(await gpu.evaluate(() => gatherWeight(open(weight.upload())))).toEqual(expected);
  });
});

it("mergeWeight: D of fewer inputs changes the first ones", async () => {
  const shape = { outputs: 5, inner: 45, taps: 9, rowInputs: 8, width: 8, column: 0 };
  const [weight, delta] = [gpu.random([72, 8]), gpu.random([5, 27])];
  const actual = await gpu.evaluate(() => {
    const tensor = weight.upload();
    mergeWeight({ ...shape, tensor }, { delta: delta.upload(), strength: 1 });
    return tensor;
  });
  const expected = Float64Array.from(weight.values);
  each({ ...shape, inner: 27 }, (o, j) => {
    expected[at(shape, o, j)]! += delta.values[o * 27 + j]!;
  });
  closeTo(actual, expected, 1e-6);
});

it("norms of long rows keep their digits", async () => {
  const shape = { outputs: 3, inner: 11_521, taps: 1, rowInputs: 11_521, width: 4, column: 0 };
  const weight = gpu.random([11_521, 4], "f32", { mean: 1 });
  const actual = await gpu.evaluate(() => weightGain({ ...shape, tensor: weight.upload() }, { axis: "output", epsilon: 0 }));
  const squares = new Float64Array(3);
  each(shape, (o, j) => {
    squares[o]! += weight.values[at(shape, o, j)]! ** 2;
  });
  closeTo(
    actual,
    squares.map((sum) => 1 / Math.sqrt(sum)),
    1e-6,
  );
});

it.each([
  [1, 1, 1, 1],
  [2, 3, 5, 7],
  [9, 4, 13, 1],
])("kronecker [%i, %i] with [%i, %i]", async (a, b, c, d) => {
  const [left, right] = [gpu.random([a, b]), gpu.random([c, d])];
  const expected = new Float64Array(a * c * b * d);
  for (let p = 0; p < a; p++)
    for (let q = 0; q < b; q++)
      for (let r = 0; r < c; r++)
        for (let s = 0; s < d; s++)
          expected[(p * c + r) * b * d + q * d + s] = left.values[p * b + q]! * right.values[r * d + s]!;
  closeTo(await gpu.evaluate(() => kronecker(left.upload(), right.upload())), expected, 1e-7);
});

it.each([1, 65, 1000])("hadamard of %i", async (count) => {
  const [a, b] = [gpu.random([count]), gpu.random([count])];
  const expected = Float64Array.from(a.values, (value, i) => value * b.values[i]!);
  closeTo(await gpu.evaluate(() => hadamard(a.upload(), b.upload())), expected, 1e-7);
});

it.each([
  [1, 1, 1],
  [3, 5, 7],
  [2, 16, 65],
])("rotateOutputs: %i blocks of %i, %i inputs", async (count, block, inner) => {
  const [weight, blocks] = [gpu.random([count * block, inner]), gpu.random([count, block, block])];
  const expected = new Float64Array(count * block * inner);
  for (let k = 0; k < count; k++)
    for (let m = 0; m < block; m++)
      for (let n = 0; n < block; n++)
        for (let j = 0; j < inner; j++)
          expected[(k * block + m) * inner + j]! +=
            blocks.values[(k * block + n) * block + m]! * weight.values[(k * block + n) * inner + j]!;
  closeTo(await gpu.evaluate(() => rotateOutputs(weight.upload(), blocks.upload())), expected, 1e-6);
});

it.each([
  [2, 2, 1, 3],
  [3, 4, 2, 7],
  [4, 6, 6, 5],
  [8, 4, 8, 65],
])("rotateOutputs: %i blocks of %i, pairs %i apart, %i inputs", async (count, block, stride, inner) => {
  const [weight, blocks] = [gpu.random([count * block, inner]), gpu.random([count, block, block])];
  // The outputs in the order in which the blocks take them.
  const order: number[] = [];
  for (let first = 0; order.length < count * block; first += 2 * stride)
    for (let near = 0; near < stride; near++) order.push(first + near, first + near + stride);
  const expected = new Float64Array(count * block * inner);
  for (let k = 0; k < count; k++)
    for (let m = 0; m < block; m++)
      for (let n = 0; n < block; n++)
        for (let j = 0; j < inner; j++)
          expected[order[k * block + m]! * inner + j]! +=
            blocks.values[(k * block + n) * block + m]! * weight.values[order[k * block + n]! * inner + j]!;
  closeTo(await gpu.evaluate(() => rotateOutputs(weight.upload(), blocks.upload(), stride)), expected, 1e-6);
});

it("shapes that do not fit are refused", () => {
  gpu.device.scope(() => {
    const tensor = gpu.random([8, 8]).upload();
    const window = { tensor, outputs: 8, inner: 8, taps: 1, rowInputs: 8, width: 8, column: 0 };
    const of = (...shape: number[]) => gpu.random(shape).upload();
    expect(() => gatherWeight({ ...window, column: 1 })).toThrow(ShapeError);
    expect(() => gatherWeight({ ...window, inner: 9 })).toThrow(ShapeError);
    expect(() => gatherWeight({ ...window, taps: 3 })).toThrow(ShapeError);
    expect(() => mergeWeight(window, { delta: of(8, 9), strength: 1 })).toThrow(ShapeError);
    expect(() => mergeWeight(window, { outputGain: of(7), strength: 1 })).toThrow(ShapeError);
    expect(() => mergeWeight(window, { inputGain: of(9), strength: 1 })).toThrow(ShapeError);
    expect(() => weightGain(window, { axis: "output", magnitude: of(7), epsilon: 0 })).toThrow(ShapeError);
    expect(() => weightGain(window, { axis: "input", delta: of(8, 7), epsilon: 0 })).toThrow(ShapeError);
    expect(() => hadamard(of(3), of(4))).toThrow(ShapeError);
    expect(() => rotateOutputs(of(8, 3), of(3, 3, 3))).toThrow(ShapeError);
    expect(() => rotateOutputs(of(12, 3), of(3, 4, 4), 4)).toThrow(ShapeError);
  });
});
