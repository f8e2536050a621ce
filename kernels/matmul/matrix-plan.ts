/**
 * @file How a product is cut up for subgroup matrices: the tile of a workgroup, and slices of the inner numbers where the output has
 * too few tiles to fill a GPU. Everything here is a matter of speed: each plan computes the same.
 */
import type { Device } from "../../engine/index.ts";
import type { matrixTunables } from "./matrix-tile.ts";
import { slabBytes } from "./tile.ts";

/** Blocks of a subgroup and what share of the large one's rate a workgroup of them reaches (larger tiles load less for a product). */
const shapes = [
  { down: 4, across: 4, rate: 1 },
  { down: 4, across: 2, rate: 0.8 },
  { down: 2, across: 2, rate: 0.55 },
] as const;

/** Subgroups of fewer lanes are those of a driver that runs on the CPU, which takes seconds to compile the smallest tile. */
const leastLanes = 16;

/** Workgroups that a large GPU runs at once (132 multiprocessors with two each). */
const concurrent = 264;

/** What a second pass costs, in products of one number by one: a launch, and by number of the slabs. */
const slicing = { launch: 3.5e6, number: 2.3 } as const;

/** Inner numbers that a slice must have at least. */
const leastSlice = 256;

export interface MatrixPlan {
  readonly tunables: { readonly [K in Exclude<keyof typeof matrixTunables, "ACTIVATION">]: number };
  /** Rows and columns of a workgroup's tile, and how many tiles there are. */
  readonly rows: number;
  readonly columns: number;
  readonly down: number;
  readonly across: number;
  /** Steps of DEPTH inner numbers in all, and in each slice. */
  readonly steps: number;
  readonly slice: number;
  readonly slices: number;
}

export interface MatrixProblem {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/**
 * All plans that a device can run; none without an f16 -> f32 configuration. f16 results are not used: a sum of thousands of products
 * keeps two digits in f16.
 */
export function matrixPlans(device: Device, { rows, inner, columns }: MatrixProblem): MatrixPlan[] {
  const config = device.matrixConfig;
  if (!config || inner % 8 !== 0 || columns % 8 !== 0) return [];
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupsPerDimension } = device.limits;
  const { maxStorageBufferBindingSize } = device.limits;
  const own = config.lanes < leastLanes ? shapes.slice(-1) : shapes;
  return own.flatMap(({ down: BLOCKS_M, across: BLOCKS_N }) => {
    const { M: MATRIX_M, N: MATRIX_N, K: MATRIX_K, lanes: LANES } = config;
    const fixed = { MATRIX_M, MATRIX_N, MATRIX_K, LANES, SUBGROUPS_M: 2, SUBGROUPS_N: 2, DEPTH: LANES < leastLanes ? 16 : 32 };
    const tunables = { ...fixed, BLOCKS_M, BLOCKS_N };
    const tile = { rows: 2 * BLOCKS_M * MATRIX_M, columns: 2 * BLOCKS_N * MATRIX_N };
    const invocations = 4 * LANES;
    const fetches = [tunables.DEPTH / 8, tile.columns / 8].every((octets) => invocations % octets === 0);
    const whole = [tile.rows * tunables.DEPTH, tile.columns * tunables.DEPTH].every((size) => size % (8 * invocations) === 0);
    const memory =
      4 * (tile.rows * (tunables.DEPTH + 8) + tunables.DEPTH * (tile.columns + 8)) + 4 * MATRIX_M * (2 * MATRIX_N + 4) * 4;
    const [down, across] = [Math.ceil(rows / tile.rows), Math.ceil(columns / tile.columns)];
    if (!fetches || !whole || memory > maxComputeWorkgroupStorageSize) return [];
    if (invocations > maxComputeInvocationsPerWorkgroup || down > maxComputeWorkgroupsPerDimension) return [];
    const steps = Math.ceil(inner / tunables.DEPTH);
    const most = Math.max(1, Math.floor((steps * tunables.DEPTH) / leastSlice));
    const room = Math.max(1, maxStorageBufferBindingSize / slabBytes({ ...tile, down, across }));
    const slices = down * across < concurrent ? [1, 2, 4, 8, 16].filter((count) => count <= Math.min(most, room)) : [1];
    return slices.map((count) => {
      const slice = Math.ceil(steps / count);
      return { tunables, ...tile, down, across, steps, slice, slices: Math.ceil(steps / slice) };
    });
  });
}

/** The plan that should be quickest, or undefined where there is none. `sliced` false: one pass only. */
export function matrixPlan(device: Device, problem: MatrixProblem, sliced = true): MatrixPlan | undefined {
  const plans = matrixPlans(device, problem).filter(({ slices }) => sliced || slices === 1);
  return plans.reduce<MatrixPlan | undefined>((best, plan) => (best && cost(best) <= cost(plan) ? best : plan), undefined);
}

/** Products of one number by one that a workgroup's share of the GPU could do in the meantime. */
function cost({ tunables, rows, columns, down, across, slice, slices }: MatrixPlan): number {
  const { rate } = shapes.find((shape) => shape.down === tunables.BLOCKS_M && shape.across === tunables.BLOCKS_N)!;
  const rounds = Math.ceil((down * across * slices) / concurrent);
  const second = slices > 1 ? slicing.launch + slicing.number * slices * down * across * rows * columns : 0;
  return (rounds * rows * columns * slice * tunables.DEPTH) / rate + second;
}
