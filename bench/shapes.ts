/** @file The shapes that cost most in each family (../shared/reference/performance.md, section 1), one sample. */
import { attentionCase, type BenchCase, convCase, groupNormCase, layerNormCase, matmulCase } from "./operations.ts";

export const families = ["sd15", "sdxl", "embedded"] as const;
export type BenchFamily = (typeof families)[number];
/** A family's shapes, or those of ../shared/peers, whatever the size. */
export type ShapeSet = BenchFamily | "peer";

/** Cases of a family at a picture size in pixels (512 for SD 1.5, 1024 for SDXL, 128 for the embedded model). */
export function familyCases(family: ShapeSet, size: number): BenchCase[] {
  if (family === "peer") return [...peerCases];
  if (family === "sdxl") return sdxl(size / 8);
  if (family === "embedded") return embedded(size / 8);
  return sd15(size / 8);
}

export const familySize: Readonly<Record<ShapeSet, number>> = { sd15: 512, sdxl: 1024, embedded: 128, peer: 512 };

function sd15(side: number): BenchCase[] {
  const [half, quarter, eighth] = [side / 2, side / 4, side / 8];
  return [
    attentionCase(8, side ** 2, side ** 2, 40),
    attentionCase(8, half ** 2, half ** 2, 80),
    attentionCase(8, quarter ** 2, quarter ** 2, 160),
    attentionCase(8, side ** 2, 77, 40),
    convCase(320, 320, side),
    convCase(640, 640, half),
    convCase(1280, 1280, quarter),
    convCase(1280, 1280, eighth),
    convCase(2560, 1280, quarter),
    convCase(1280, 1280, half),
    convCase(640, 640, side),
    convCase(640, 320, side),
    convCase(1920, 640, half),
    convCase(960, 320, side),
    convCase(640, 320, side, 1),
    matmulCase(side ** 2, 320, 2560),
    matmulCase(half ** 2, 640, 5120),
    matmulCase(quarter ** 2, 1280, 10240),
    matmulCase(side ** 2, 1280, 320),
    matmulCase(77, 768, 3072),
    attentionCase(1, side ** 2, side ** 2, 512),
    convCase(512, 512, side),
    convCase(512, 512, 2 * side),
    convCase(256, 256, 4 * side),
    convCase(128, 128, 8 * side),
    groupNormCase(side, 320),
    groupNormCase(4 * side, 256),
    layerNormCase(side ** 2, 320),
  ];
}

function sdxl(side: number): BenchCase[] {
  const [half, quarter] = [side / 2, side / 4];
  return [
    matmulCase(quarter ** 2, 1280, 10240),
    matmulCase(quarter ** 2, 5120, 1280),
    matmulCase(quarter ** 2, 1280, 1280),
    matmulCase(half ** 2, 640, 5120),
    attentionCase(10, half ** 2, half ** 2, 64),
    attentionCase(20, quarter ** 2, quarter ** 2, 64),
    convCase(320, 320, side),
    convCase(640, 640, half),
    convCase(1280, 1280, quarter),
    groupNormCase(side, 320),
    layerNormCase(half ** 2, 640),
  ];
}

function embedded(side: number): BenchCase[] {
  const [half, quarter] = [side / 2, side / 4];
  return [
    attentionCase(8, side ** 2, side ** 2, 8),
    attentionCase(8, half ** 2, half ** 2, 16),
    attentionCase(8, side ** 2, 77, 8),
    attentionCase(1, side ** 2, side ** 2, 128),
    convCase(64, 64, side),
    convCase(128, 128, half),
    convCase(128, 128, quarter),
    convCase(256, 128, quarter),
    matmulCase(side ** 2, 64, 512),
    matmulCase(half ** 2, 128, 1024),
    convCase(64, 64, 4 * side),
    convCase(32, 32, 8 * side),
    groupNormCase(8 * side, 32, 8),
    layerNormCase(side ** 2, 64),
  ];
}

/** The shapes of the peer's graphs (../shared/peers), under the same names. */
export const peerCases: readonly BenchCase[] = [
  matmulCase(1024, 1024, 1024),
  matmulCase(1024, 320, 2560),
  matmulCase(256, 640, 5120),
  matmulCase(77, 768, 768),
  convCase(320, 320, 32),
  convCase(640, 640, 16),
  convCase(1280, 1280, 8),
  convCase(128, 128, 64),
  convCase(64, 64, 64),
  attentionCase(8, 1024, 1024, 40),
  attentionCase(8, 256, 256, 80),
  attentionCase(8, 1024, 77, 40),
];
