/** @file The operations that are timed, as cases: shapes, the work in FLOP and bytes, how to run a rung, and what comes out in f64. */
import type { Device, Tensor } from "../engine/index.ts";
import { attentionRungs } from "../kernels/attention/index.ts";
import { attentionProblem } from "../kernels/attention/problem.ts";
import { conv2d, conv2dRungs } from "../kernels/conv2d/index.ts";
import { type GroupNormRung, groupNormRungs } from "../kernels/group-norm/index.ts";
import { attention, groupNorm, layerNorm } from "../kernels/index.ts";
import { type LayerNormRung, layerNormRungs } from "../kernels/layer-norm/index.ts";
import { matmul, matmulRungs } from "../kernels/matmul/index.ts";
import { plainTile } from "./plain-tile.ts";

export interface BenchCase {
  /** As in the peer's files: `matmul_M_K_N`, `conv3x3_C_O_SIDE`, `attention_HEADS_T_S_D`; with several samples `_xN` after it. */
  readonly name: string;
  readonly operation: "matmul" | "conv2d" | "attention" | "groupNorm" | "layerNorm";
  readonly flop: number;
  /** Elements read and written once: what a perfect cache would move. */
  readonly elements: number;
  readonly inputs: readonly (readonly number[])[];
  /** What the inputs' shapes do not tell: heads, padding, groups. */
  readonly settings: Readonly<Record<string, number>>;
  /** The rungs that this device can run, slowest first; "best" is what index.ts picks. */
  rungs(device: Device): string[];
  run(inputs: readonly Tensor[], rung: string): Tensor;
  /** The output at a flat index, in f64, from the inputs' numbers. */
  expected(inputs: readonly Float32Array[], index: number): number;
}

export function matmulCase(m: number, k: number, n: number): BenchCase {
  return {
    name: `matmul_${m}_${k}_${n}`,
    operation: "matmul",
    flop: 2 * m * k * n,
    elements: m * k + k * n + m * n,
    inputs: [
      [m, k],
      [k, n],
    ],
    settings: {},
    rungs: (device) => rungsFor(device, matmulRungs),
    run: ([x, w], rung) =>
      (rung === plain ? plainTile([x!, w!]) : undefined) ??
      matmul(x!, w!, {}, rung === "best" || rung === plain ? undefined : (rung as keyof typeof matmulRungs)),
    expected([x, w], index) {
      const [row, column] = [Math.floor(index / n), index % n];
      let sum = 0;
      for (let i = 0; i < k; i++) sum += x![row * k + i]! * w![i * n + column]!;
      return sum;
    },
  };
}

function samples(batch: number): string {
  return batch === 1 ? "" : `_x${batch}`;
}

/** The yardstick of the software rungs, beside the ladder: see plain-tile.ts. */
export const plain = "plain tile";

/** The rungs of a ladder that this device can run, and on software adapters the yardstick. */
function rungsFor({ tier }: Device, ladder: Readonly<Record<string, unknown>>): string[] {
  const fast = tier === "software" ? [plain, "software"] : tier === "matrix" ? ["matrix"] : [];
  return ["naive", "tiled", ...fast.filter((name) => name === plain || name in ladder)];
}

/** 3x3 (or 1x1) convolution that keeps a square map's side. */
export function convCase(
  c: number,
  o: number,
  side: number,
  { kernel = 3, batch = 1 }: { kernel?: 1 | 3; batch?: number } = {},
): BenchCase {
  const half = (kernel - 1) / 2;
  return {
    name: `conv${kernel}x${kernel}_${c}_${o}_${side}${samples(batch)}`,
    operation: "conv2d",
    flop: 2 * batch * side * side * kernel * kernel * c * o,
    elements: batch * side * side * (c + o) + kernel * kernel * c * o,
    inputs: [
      [batch, side, side, c],
      [kernel, kernel, c, o],
    ],
    settings: { padding: half },
    rungs: (device) => rungsFor(device, conv2dRungs),
    run: ([x, w], rung) =>
      (rung === plain ? plainTile([x!, w!]) : undefined) ??
      conv2d(x!, w!, { padding: half }, rung === "best" || rung === plain ? undefined : (rung as keyof typeof conv2dRungs)),
    expected([x, w], index) {
      const [pixel, output] = [Math.floor(index / o), index % o];
      const [row, column] = [Math.floor(pixel / side) % side, pixel % side];
      const first = pixel - row * side - column;
      let sum = 0;
      for (let dy = 0; dy < kernel; dy++) {
        for (let dx = 0; dx < kernel; dx++) {
          const [iy, ix] = [row + dy - half, column + dx - half];
          if (iy < 0 || ix < 0 || iy >= side || ix >= side) continue;
          for (let i = 0; i < c; i++)
            sum += x![(first + iy * side + ix) * c + i]! * w![((dy * kernel + dx) * c + i) * o + output]!;
        }
      }
      return sum;
    },
  };
}

export function attentionCase(heads: number, t: number, s: number, d: number, batch = 1): BenchCase {
  const width = heads * d;
  return {
    name: `attention_${heads}_${t}_${s}_${d}${samples(batch)}`,
    operation: "attention",
    flop: 4 * batch * heads * t * s * d,
    elements: batch * width * (2 * t + 2 * s),
    inputs: [
      [batch, t, width],
      [batch, s, width],
      [batch, s, width],
    ],
    settings: { heads },
    rungs(device) {
      const [q, k] = [device.empty([batch, t, width]), device.empty([batch, s, width])];
      const problem = attentionProblem(q, k, k, { heads, headDim: d });
      const names = Object.entries(attentionRungs).filter(
        ([name, { fits }]) => fits(problem) && (name !== "software" || device.tier === "software"),
      );
      for (const tensor of [q, k]) tensor.free();
      return names.map(([name]) => name);
    },
    run([q, k, v], rung) {
      if (rung === "best") return attention(q!, k!, v!, { heads, headDim: d });
      return attentionRungs[rung as keyof typeof attentionRungs].run(attentionProblem(q!, k!, v!, { heads, headDim: d }));
    },
    expected([q, k, v], index) {
      const [row, column] = [Math.floor(index / width), index % width];
      const first = Math.floor(column / d) * d;
      const keys = Math.floor(row / t) * s;
      const scores = Array.from({ length: s }, (_, j) => {
        let dot = 0;
        for (let i = 0; i < d; i++) dot += q![row * width + first + i]! * k![(keys + j) * width + first + i]!;
        return dot / Math.sqrt(d);
      });
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((a, b) => a + b, 0);
      return weights.reduce((sum, weight, j) => sum + (weight / total) * v![(keys + j) * width + column]!, 0);
    },
  };
}

/** Group norm with SiLU. */
export function groupNormCase(side: number, c: number, { groups = 32, batch = 1 } = {}): BenchCase {
  return {
    name: `groupNorm_${side}_${c}${samples(batch)}`,
    operation: "groupNorm",
    flop: 8 * batch * side * side * c,
    elements: 2 * batch * side * side * c,
    inputs: [[batch, side, side, c], [c], [c]],
    settings: { groups },
    rungs(device) {
      const bytes = batch * side * side * c * (device.storage === "f16" ? 2 : 4);
      return groupNormRungs(device, { bytes, channels: c, own: c, groups });
    },
    run: ([x, gain, shift], rung) =>
      groupNorm(x!, gain!, shift!, { groups, eps: 1e-5, silu: true }, rung === "best" ? undefined : (rung as GroupNormRung)),
    expected([x, gain, shift], index) {
      const channel = index % c;
      const width = c / groups;
      const size = side * side * c;
      const first = Math.floor(index / size) * size + Math.floor(channel / width) * width;
      const members: number[] = [];
      for (let p = 0; p < side * side; p++) for (let i = 0; i < width; i++) members.push(x![p * c + first + i]!);
      const value = normalised(members, x![index]!) * gain![channel]! + shift![channel]!;
      return value / (1 + Math.exp(-value));
    },
  };
}

export function layerNormCase(rows: number, c: number): BenchCase {
  return {
    name: `layerNorm_${rows}_${c}`,
    operation: "layerNorm",
    flop: 8 * rows * c,
    elements: 2 * rows * c,
    inputs: [[rows, c], [c], [c]],
    settings: {},
    rungs: (device) => layerNormRungs(device, c),
    run: ([x, gain, shift], rung) =>
      layerNorm(x!, gain!, shift!, { eps: 1e-5 }, rung === "best" ? undefined : (rung as LayerNormRung)),
    expected([x, gain, shift], index) {
      const [row, channel] = [Math.floor(index / c), index % c];
      return normalised(Array.from(x!.subarray(row * c, (row + 1) * c)), x![index]!) * gain![channel]! + shift![channel]!;
    },
  };
}

function normalised(members: readonly number[], value: number): number {
  const mean = members.reduce((a, b) => a + b, 0) / members.length;
  const variance = members.reduce((a, b) => a + (b - mean) ** 2, 0) / members.length;
  return (value - mean) / Math.sqrt(variance + 1e-5);
}
