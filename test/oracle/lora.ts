/** @file Plain-loop twins of adapters' changes, in f64. Weights and changes are [outputs, inputs, taps], row-major. */

export interface Size {
  readonly outputs: number;
  readonly inputs: number;
  readonly taps: number;
}

type Numbers = ArrayLike<number>;

/** left [o, r], right [r, i, t] */
export function lowRank(left: Numbers, right: Numbers, rank: number, { outputs, inputs, taps }: Size): Float64Array {
  const inner = inputs * taps;
  const d = new Float64Array(outputs * inner);
  for (let o = 0; o < outputs; o++)
    for (let j = 0; j < inner; j++)
      for (let r = 0; r < rank; r++) d[o * inner + j]! += left[o * rank + r]! * right[r * inner + j]!;
  return d;
}

/** up(o, n) a function of two indices, core [n, q, taps], down [q, inputs] */
export function tucker(
  up: (o: number, n: number) => number,
  core: Numbers,
  down: Numbers,
  [ranks, others]: readonly [number, number],
  { outputs, inputs, taps }: Size,
): Float64Array {
  const d = new Float64Array(outputs * inputs * taps);
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let t = 0; t < taps; t++)
        for (let n = 0; n < ranks; n++)
          for (let q = 0; q < others; q++)
            d[(o * inputs + i) * taps + t]! += up(o, n) * core[(n * others + q) * taps + t]! * down[q * inputs + i]!;
  return d;
}

/** a [A, B], b [C, D, taps] -> [A C, B D, taps] */
export function kron(a: Numbers, b: Numbers, [rows, columns]: readonly [number, number], size: Size): Float64Array {
  const { outputs, inputs, taps } = size;
  const [height, width] = [outputs / rows, inputs / columns];
  const d = new Float64Array(outputs * inputs * taps);
  for (let p = 0; p < rows; p++)
    for (let q = 0; q < columns; q++)
      for (let r = 0; r < height; r++)
        for (let s = 0; s < width; s++)
          for (let t = 0; t < taps; t++)
            d[((p * height + r) * inputs + q * width + s) * taps + t] = a[p * columns + q]! * b[(r * width + s) * taps + t]!;
  return d;
}

/** W + factor D */
export function added(w: Numbers, d: Numbers, factor: number): Float64Array {
  return new Float64Array(w.length).map((_, i) => w[i]! + factor * d[i]!);
}

/** ComfyUI's DoRA: of outputs by the norms of W, of inputs by those of V = W + scale D. */
export function dora(
  w: Numbers,
  d: Numbers,
  { scale, strength, magnitudes, axis }: { scale: number; strength: number; magnitudes: Numbers; axis: "output" | "input" },
  size: Size,
): Float64Array {
  const v = added(w, d, scale);
  const norms = axis === "output" ? normsOf(w, "output", size) : normsOf(v, "input", size);
  const changed = v.map((value, at) => {
    const k = indexOf(at, axis, size);
    return (value * magnitudes[k]!) / (norms[k]! + 2 ** -23);
  });
  return added(
    w,
    changed.map((value, at) => value - w[at]!),
    strength,
  );
}

/** AUTOMATIC1111's: always by the norms of V's inputs, magnitudes of whichever axis. */
export function doraA1111(
  w: Numbers,
  d: Numbers,
  { scale, strength, magnitudes, axis }: { scale: number; strength: number; magnitudes: Numbers; axis: "output" | "input" },
  size: Size,
): Float64Array {
  const v = added(w, d, scale);
  const norms = normsOf(v, "input", size);
  const changed = v.map((value, at) => (value * magnitudes[indexOf(at, axis, size)]!) / norms[indexOf(at, "input", size)]!);
  return added(
    w,
    changed.map((value, at) => value - w[at]!),
    strength,
  );
}

function indexOf(at: number, axis: "output" | "input", { inputs, taps }: Size): number {
  return axis === "output" ? Math.floor(at / (inputs * taps)) : Math.floor(at / taps) % inputs;
}

function normsOf(w: Numbers, axis: "output" | "input", size: Size): Float64Array {
  const norms = new Float64Array(axis === "output" ? size.outputs : size.inputs);
  for (let at = 0; at < w.length; at++) norms[indexOf(at, axis, size)]! += w[at]! ** 2;
  return norms.map(Math.sqrt);
}

/** (R - I) W with R = (I + Q)(I - Q)^-1 in blocks [count, b, b] of Q = B - B^T, the inverse as the sum of Q's powers. */
export function rotated(w: Numbers, blocks: Numbers, block: number, { outputs, inputs, taps }: Size): Float64Array {
  const inner = inputs * taps;
  const d = new Float64Array(w.length);
  for (let first = 0; first < outputs; first += block) {
    const at = (i: number, j: number) => blocks[first * block + i * block + j]!;
    const q = (i: number, j: number) => at(i, j) - at(j, i);
    // R = I + 2 (Q + Q^2 + Q^3 + ...)
    let power: number[][] = Array.from({ length: block }, (_, i) => Array.from({ length: block }, (__, j) => (i === j ? 1 : 0)));
    const r = power.map((row) => row.map(() => 0));
    for (let n = 0; n < 200; n++) {
      power = power.map((row) => row.map((_, j) => row.reduce((sum, value, k) => sum + value * q(k, j), 0)));
      for (let i = 0; i < block; i++) for (let j = 0; j < block; j++) r[i]![j]! += 2 * power[i]![j]!;
    }
    for (let m = 0; m < block; m++)
      for (let n = 0; n < block; n++)
        for (let j = 0; j < inner; j++) d[(first + m) * inner + j]! += r[n]![m]! * w[(first + n) * inner + j]!;
  }
  return d;
}

/**
 * (R - I) W for a butterfly R of blocks [factors, count, b, b]: each factor sorts the outputs anew, turns them in blocks, and sorts them back.
 * The order is that of the einops pattern "(c g k) -> (c k g)" with g = 2 and k = 2^i b / 2.
 */
export function butterfly(
  w: Numbers,
  blocks: Numbers,
  [factors, block]: readonly [number, number],
  { outputs, inputs, taps }: Size,
): Float64Array {
  const inner = inputs * taps;
  const size = outputs * block;
  let turned = Float64Array.from({ length: outputs * inner }, (_, at) => w[at]!);
  for (let i = 0; i < factors; i++) {
    const k = 2 ** i * (block / 2);
    const order: number[] = [];
    for (let c = 0; c < outputs / (2 * k); c++)
      for (let near = 0; near < k; near++) for (const g of [0, 1]) order.push((c * 2 + g) * k + near);
    const sorted = Float64Array.from(turned, (_, at) => turned[order[Math.floor(at / inner)]! * inner + (at % inner)]!);
    // R x, and not x R: the blocks of the turned matrix are those of -Q.
    const own = Array.from({ length: size }, (_, at) => {
      const [first, row, column] = [at - (at % (block * block)), Math.floor((at % (block * block)) / block), at % block];
      return blocks[i * size + first + column * block + row]!;
    });
    const change = rotated(sorted, own, block, { outputs, inputs, taps });
    const next = new Float64Array(turned.length);
    for (const [place, output] of order.entries())
      for (let j = 0; j < inner; j++) next[output * inner + j] = sorted[place * inner + j]! + change[place * inner + j]!;
    turned = next;
  }
  return turned.map((value, at) => value - w[at]!);
}
