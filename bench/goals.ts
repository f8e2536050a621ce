/** @file What limn asks of itself on NVIDIA's H100 and H200: steps of SD 1.5, and its kernels' shares of what the GPU can do. */
import type { Tier } from "../engine/index.ts";
import type { BenchCase } from "./operations.ts";

export const goalSets = ["h200", "h100", "none"] as const;
export type GoalSet = (typeof goalSets)[number];

/** Steps a second of SD 1.5 at 512x512 with guidance (batch 2), on an H200. */
const stepGoals: Readonly<Partial<Record<Tier, number>>> = { matrix: 62, f16: 37, f32: 21 };

/** Shares of `peak`, of norms of the copy rate, on an H200. */
const gemm = 0.4;
const convolution = 0.35;
const attentionOf40 = 0.15;
const norm = 0.75;

/** Of an H200's figures an H100, whose memory is slower, is asked this. */
const factors: Readonly<Record<GoalSet, number | undefined>> = { h200: 1, h100: 0.9, none: undefined };

/**
 * TFLOP/s that both can do through WebGPU: Vulkan's cooperative matrices become mma.sync, which reaches 62.9 % of the 989 that
 * Hopper's wgmma can do (arXiv 2501.12084).
 */
export const hopperPeak = 620;

/** By what the adapter calls itself. */
export function goalsFor(adapter: string): GoalSet {
  return goalSets.find((set) => new RegExp(`\\b${set}\\b`, "i").test(adapter)) ?? "none";
}

export interface StepSize {
  readonly family: string;
  /** Pixels. */
  readonly size: number;
  readonly batch: number;
}

/** Steps a second, where something is asked of this step. */
export function stepGoal(set: GoalSet, tier: Tier, { family, size, batch }: StepSize): number | undefined {
  return family === "sd15" && size === 512 && batch === 2 ? scaled(set, stepGoals[tier]) : undefined;
}

/** The share that is asked of a case, of the copy rate for norms, of the arithmetic peak for all others. */
export function kernelGoal(set: GoalSet, benchCase: BenchCase): number | undefined {
  return scaled(set, shareAsked(benchCase));
}

/** GEMM from 1,024 rows, convolutions from 32x32, self-attention with 40 channels a head; the norms. */
function shareAsked({ operation, inputs, settings }: BenchCase): number | undefined {
  const [x, other] = inputs as readonly (readonly number[])[];
  if (operation === "groupNorm" || operation === "layerNorm") return norm;
  if (operation === "matmul") return x![0]! >= 1024 ? gemm : undefined;
  if (operation === "conv2d") return x![1]! >= 32 ? convolution : undefined;
  return x![2]! / settings["heads"]! === 40 && other![1] === x![1] ? attentionOf40 : undefined;
}

function scaled(set: GoalSet, figure: number | undefined): number | undefined {
  const factor = factors[set];
  return factor === undefined || figure === undefined ? undefined : figure * factor;
}
