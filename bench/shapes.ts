/** @file The shapes that cost most in each family (../shared/reference/performance.md, section 1). */
import { attentionCase, type BenchCase, convCase, groupNormCase, layerNormCase, matmulCase } from "./operations.ts";

export const families = ["sd15", "sdxl", "embedded"] as const;
export type BenchFamily = (typeof families)[number];
/** A family's shapes, or those of ../shared/peers, whatever the size. */
export type ShapeSet = BenchFamily | "peer";

/**
 * Cases of a family at a picture size in pixels, a multiple of 8 (512 for SD 1.5, 1024 for SDXL, 128 for the embedded model). `batch`:
 * samples that the U-Net is given at a time, 2 in a step with guidance; text encoder and VAE have one.
 */
export function familyCases(family: ShapeSet, size: number, batch = 1): BenchCase[] {
  if (family === "peer") return [...peerCases];
  if (family === "sdxl") return sdxl(size / 8, batch);
  if (family === "embedded") return embedded(size / 8, batch);
  return sd15(size / 8, batch);
}

export const familySize: Readonly<Record<ShapeSet, number>> = { sd15: 512, sdxl: 1024, embedded: 128, peer: 512 };

/** A side after the U-Net's convolutions of stride 2, which keep half a pixel at the edge. */
function halved(side: number, times = 1): number {
  return Math.ceil(side / 2 ** times);
}

function sd15(side: number, batch: number): BenchCase[] {
  const [half, quarter, eighth] = [halved(side), halved(side, 2), halved(side, 3)];
  return [
    attentionCase(8, side ** 2, side ** 2, 40, batch),
    attentionCase(8, half ** 2, half ** 2, 80, batch),
    attentionCase(8, quarter ** 2, quarter ** 2, 160, batch),
    attentionCase(8, side ** 2, 77, 40, batch),
    convCase(320, 320, side, { batch }),
    convCase(640, 640, half, { batch }),
    convCase(1280, 1280, quarter, { batch }),
    convCase(1280, 1280, eighth, { batch }),
    convCase(2560, 1280, quarter, { batch }),
    convCase(1280, 1280, half, { batch }),
    convCase(640, 640, side, { batch }),
    convCase(640, 320, side, { batch }),
    convCase(1920, 640, half, { batch }),
    convCase(960, 320, side, { batch }),
    convCase(640, 320, side, { kernel: 1, batch }),
    matmulCase(batch * side ** 2, 320, 2560),
    matmulCase(batch * half ** 2, 640, 5120),
    matmulCase(batch * quarter ** 2, 1280, 10240),
    matmulCase(batch * side ** 2, 1280, 320),
    matmulCase(77, 768, 3072),
    attentionCase(1, side ** 2, side ** 2, 512),
    convCase(512, 512, side),
    convCase(512, 512, 2 * side),
    convCase(256, 256, 4 * side),
    convCase(128, 128, 8 * side),
    groupNormCase(side, 320, { batch }),
    groupNormCase(4 * side, 256),
    layerNormCase(batch * side ** 2, 320),
  ];
}

function sdxl(side: number, batch: number): BenchCase[] {
  const [half, quarter] = [halved(side), halved(side, 2)];
  return [
    matmulCase(batch * quarter ** 2, 1280, 10240),
    matmulCase(batch * quarter ** 2, 5120, 1280),
    matmulCase(batch * quarter ** 2, 1280, 1280),
    matmulCase(batch * half ** 2, 640, 5120),
    attentionCase(10, half ** 2, half ** 2, 64, batch),
    attentionCase(20, quarter ** 2, quarter ** 2, 64, batch),
    convCase(320, 320, side, { batch }),
    convCase(640, 640, half, { batch }),
    convCase(1280, 1280, quarter, { batch }),
    groupNormCase(side, 320, { batch }),
    layerNormCase(batch * half ** 2, 640),
  ];
}

function embedded(side: number, batch: number): BenchCase[] {
  const [half, quarter] = [halved(side), halved(side, 2)];
  return [
    attentionCase(8, side ** 2, side ** 2, 8, batch),
    attentionCase(8, half ** 2, half ** 2, 16, batch),
    attentionCase(8, side ** 2, 77, 8, batch),
    attentionCase(1, side ** 2, side ** 2, 128),
    convCase(64, 64, side, { batch }),
    convCase(128, 128, half, { batch }),
    convCase(128, 128, quarter, { batch }),
    convCase(256, 128, quarter, { batch }),
    matmulCase(batch * side ** 2, 64, 512),
    matmulCase(batch * half ** 2, 128, 1024),
    convCase(64, 64, 4 * side),
    convCase(32, 32, 8 * side),
    groupNormCase(8 * side, 32, { groups: 8 }),
    layerNormCase(batch * side ** 2, 64),
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
