/**
 * @file The proof that an adapter computes: the kernels that a picture's time goes into, each on numbers that are checked on the CPU with
 * plain loops. A driver that miscompiles gives plausible pictures that are wrong, and says nothing.
 */
import { adapterName, type Device, DeviceError, type Tensor } from "../../engine/index.ts";
import { attention, conv2d, groupNorm, layerNorm, matmul } from "../../kernels/index.ts";

export interface Proved {
  readonly name: string;
  /** Largest error relative to the largest result. */
  readonly error: number;
  readonly millis: number;
}

interface Case {
  readonly name: string;
  /** Of sums of small integers none: f16 holds them. */
  readonly tolerance: { readonly f32: number; readonly f16: number };
  run(upload: (values: Float32Array, shape: readonly number[], dtype?: "f32") => Tensor): Tensor;
  readonly expected: readonly number[];
}

/** @throws DeviceError GPU_WRONG */
export async function prove(device: Device): Promise<Proved[]> {
  const proved: Proved[] = [];
  for (const { name, tolerance, run, expected } of cases()) {
    const begin = performance.now();
    const result = device.scope(() =>
      run((values, shape, dtype = device.storage as "f32") => device.upload(values, shape, dtype)),
    );
    const found = await result.read();
    result.free();
    const error = worstOf(found, expected);
    if (!(error <= tolerance[device.storage])) {
      throw new DeviceError("GPU_WRONG", `${name} on the GPU is wrong by up to ${error.toPrecision(2)} of its largest value`, {
        hint: "update the graphics driver, try --tier f32 or another --adapter",
        context: { kernel: name, error, adapter: adapterName(device.info), tier: device.tier },
      });
    }
    proved.push({ name, error, millis: performance.now() - begin });
  }
  return proved;
}

/** NaN compares false with everything, so it is looked for. */
function worstOf(found: ArrayLike<number>, expected: readonly number[]): number {
  const largest = Math.max(...expected.map(Math.abs));
  const errors = expected.map((value, i) => Math.abs(found[i]! - value) / largest);
  return errors.some(Number.isNaN) || found.length !== expected.length ? Number.POSITIVE_INFINITY : Math.max(...errors);
}

const exact = { f32: 0, f16: 0 };
const rounded = { f32: 1e-5, f16: 4e-3 };

function cases(): Case[] {
  const [size, side, channels, heads] = [64, 16, 16, 2];
  const [a, b] = [integers(size * size, 7, 5), integers(size * size, 11, 7)];
  const [map, taps] = [integers(side * side * channels, 7, 5), integers(9 * channels * channels, 11, 3)];
  const gain = Float32Array.from({ length: size }, (_, i) => 1 + (i % 4) / 4);
  const [q, k, v] = [a, b, integers(size * size, 13, 9)].map((values) => values.map((value) => value / 4)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  return [
    {
      name: "a matrix product",
      tolerance: exact,
      run: (upload) => matmul(upload(a, [size, size]), upload(b, [size, size])),
      expected: grid(size, size, (row, column) => sum(size, (i) => a[row * size + i]! * b[i * size + column]!)),
    },
    {
      name: "a 3x3 convolution",
      tolerance: exact,
      run: (upload) => conv2d(upload(map, [1, side, side, channels]), upload(taps, [3, 3, channels, channels]), { padding: 1 }),
      expected: grid(side * side, channels, (pixel, output) => convolved(map, taps, { side, channels, pixel, output })),
    },
    {
      name: "a group norm",
      tolerance: rounded,
      run: (upload) =>
        groupNorm(upload(q, [1, 8, 8, size]), upload(gain, [size], "f32"), upload(gain, [size], "f32"), { groups: 8, eps: 1e-5 }),
      expected: normed(q, gain, (i) => Math.floor((i % size) / 8)),
    },
    {
      name: "a layer norm",
      tolerance: rounded,
      run: (upload) =>
        layerNorm(upload(q, [size, size]), upload(gain, [size], "f32"), upload(gain, [size], "f32"), { eps: 1e-5 }),
      expected: normed(q, gain, (i) => Math.floor(i / size)),
    },
    {
      name: "an attention",
      tolerance: rounded,
      run: (upload) => {
        const [queries, keys, values] = [q, k, v].map((one) => upload(one, [1, size, size])) as [Tensor, Tensor, Tensor];
        return attention(queries, keys, values, { heads, headDim: size / heads });
      },
      expected: grid(size, size, (row, column) => attended(q, k, v, { size, width: size / heads, row, column })),
    },
  ];
}

/** Small ones, both signs, in no simple order. */
function integers(count: number, step: number, range: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * step + Math.floor(i / 16)) % range) - (range - 1) / 2);
}

function grid(rows: number, columns: number, value: (row: number, column: number) => number): number[] {
  return Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));
}

function sum(count: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += term(i);
  return total;
}

interface Place {
  readonly side: number;
  readonly channels: number;
  readonly pixel: number;
  readonly output: number;
}

function convolved(map: Float32Array, taps: Float32Array, { side, channels, pixel, output }: Place): number {
  const [y, x] = [Math.floor(pixel / side), pixel % side];
  return sum(9, (tap) => {
    const [v, u] = [y + Math.floor(tap / 3) - 1, x + (tap % 3) - 1];
    if (v < 0 || u < 0 || v >= side || u >= side) return 0;
    return sum(channels, (c) => map[(v * side + u) * channels + c]! * taps[(tap * channels + c) * channels + output]!);
  });
}

/** Elements of one group are normalised together; gain and shift go by channel. */
function normed(x: Float32Array, gain: Float32Array, groupOf: (i: number) => number): number[] {
  const groups = new Map<number, number[]>();
  for (const [i, value] of x.entries()) groups.set(groupOf(i), [...(groups.get(groupOf(i)) ?? []), value]);
  const statistics = new Map([...groups].map(([group, values]) => [group, spread(values)]));
  return Array.from(x, (value, i) => {
    const { mean, deviation } = statistics.get(groupOf(i))!;
    return ((value - mean) / deviation + 1) * gain[i % gain.length]!;
  });
}

function spread(values: readonly number[]): { mean: number; deviation: number } {
  const mean = sum(values.length, (i) => values[i]!) / values.length;
  return { mean, deviation: Math.sqrt(sum(values.length, (i) => (values[i]! - mean) ** 2) / values.length + 1e-5) };
}

interface Cell {
  readonly size: number;
  readonly width: number;
  readonly row: number;
  readonly column: number;
}

function attended(q: Float32Array, k: Float32Array, v: Float32Array, { size, width, row, column }: Cell): number {
  const first = column - (column % width);
  const score = (key: number) => sum(width, (i) => q[row * size + first + i]! * k[key * size + first + i]!) / Math.sqrt(width);
  const weights = Array.from({ length: size }, (_, key) => Math.exp(score(key)));
  return sum(size, (key) => weights[key]! * v[key * size + column]!) / sum(size, (key) => weights[key]!);
}
