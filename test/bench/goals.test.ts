import { describe, expect, it } from "vitest";
import { goalsFor, kernelGoal, stepGoal } from "../../bench/goals.ts";
import { attentionCase, convCase, groupNormCase, layerNormCase, matmulCase } from "../../bench/operations.ts";
import { familyCases } from "../../bench/shapes.ts";

describe("whose goals", () => {
  it.each([
    ["nvidia-h100-80gb-hbm3 (NVIDIA: 580.159.04)", "h100"],
    ["nvidia-h200 (NVIDIA: 580.159.03)", "h200"],
    ["NVIDIA H200", "h200"],
    ["nvidia-gh200-480gb (NVIDIA: 580.65.06)", "none"],
    ["nvidia-a100-sxm4-80gb (NVIDIA: 580.65.06)", "none"],
    ["llvmpipe: Mesa 25.0.7 (LLVM 15.0.6)", "none"],
  ])("%s: %s", (adapter, set) => {
    expect(goalsFor(adapter)).toBe(set);
  });
});

describe("steps a second", () => {
  const size = { family: "sd15", size: 512, batch: 2 };

  it("of SD 1.5 at 512x512 with guidance, on each tier; an H100 is asked 0.9 of an H200's", () => {
    expect((["matrix", "f16", "f32"] as const).map((tier) => stepGoal("h200", tier, size))).toEqual([62, 37, 21]);
    expect(stepGoal("h100", "matrix", size)).toBeCloseTo(55.8, 9);
    expect(stepGoal("none", "matrix", size)).toBeUndefined();
  });

  it("nothing is asked of other steps", () => {
    for (const other of [{ family: "sdxl" }, { size: 256 }, { batch: 1 }])
      expect(stepGoal("h200", "matrix", { ...size, ...other })).toBeUndefined();
  });
});

describe("shares of kernels", () => {
  it.each([
    [matmulCase(1024, 640, 5120), 0.4],
    [matmulCase(512, 1280, 10240), undefined],
    [convCase(640, 640, 32), 0.35],
    [convCase(640, 320, 64, { kernel: 1, batch: 2 }), 0.35],
    [convCase(1280, 1280, 16, { batch: 2 }), undefined],
    [attentionCase(8, 4096, 4096, 40, 2), 0.15],
    [attentionCase(8, 1024, 1024, 80, 2), undefined],
    [attentionCase(8, 4096, 77, 40, 2), undefined],
    [groupNormCase(64, 320), 0.75],
    [layerNormCase(8192, 320), 0.75],
  ])("$name", (benchCase, share) => {
    expect(kernelGoal("h200", benchCase)).toBe(share);
    expect(kernelGoal("none", benchCase)).toBeUndefined();
    if (share !== undefined) expect(kernelGoal("h100", benchCase)).toBeCloseTo(0.9 * share, 9);
  });

  it("every kind is among the shapes of a step with guidance", () => {
    const asked = familyCases("sd15", 512, 2).filter((benchCase) => kernelGoal("h200", benchCase) !== undefined);
    const kinds = new Set(asked.map(({ operation }) => operation));
    expect([...kinds].sort()).toEqual(["attention", "conv2d", "groupNorm", "layerNorm", "matmul"]);
    expect(asked.map(({ name }) => name)).toContain("matmul_8192_320_2560");
    expect(asked.map(({ name }) => name)).toContain("conv3x3_320_320_64_x2");
  });
});
