import { expect, it } from "vitest";
import { compareRuns } from "../../bench/compare.ts";
import { describeGoals, describeKernel, kernelTitle } from "../../bench/gpu-lines.ts";
import { benchGpu, type GpuReport } from "../../bench/gpu-report.ts";

const row = {
  ...{ name: "matmul_8192_320_2560", rung: "best", ms: { median: 0.1, p10: 0.1, p90: 0.1, runs: 5 } },
  ...{ gflops: 134_217, gbs: 500, timesNaive: undefined, timesPlainTile: undefined, ofCeiling: 0.3, error: 0 },
  ...{ share: 0.216, goal: 0.36, torchMs: 0.05 },
};

it("a kernel's line has its rate, its share, PyTorch's time and whether the goal is met, under their titles", () => {
  const line = describeKernel(row);
  expect(line).toMatch(/^matmul_8192_320_2560 +0\.100 +134 +500 +21\.6 % +0\.050 +2\.00 +36\.0 %: NOT MET$/);
  expect(describeKernel({ ...row, share: 0.36 })).toMatch(/36\.0 %: met$/);
  expect(describeKernel({ ...row, goal: undefined, torchMs: undefined })).toMatch(/21\.6 % +- +-$/);
  expect(kernelTitle.indexOf("limn/PyTorch") + "limn/PyTorch".length).toBe(line.indexOf("2.00") + "2.00".length);
});

it("what is not there and what failed counts as missed", () => {
  const asked = [
    { name: "step, matrix", goal: 62 },
    { name: "step, f16", goal: 37, value: 40 },
    { name: "conv", goal: 0.35, value: Number.NaN },
  ];
  const lines = describeGoals({ asked, without: [{ tier: "matrix", why: "no matrices" }], failures: ["conv: wrong"] });
  expect(lines).toEqual([
    "",
    "goals: 1 of 3 met",
    "not met: step, matrix; conv",
    "not there: tier matrix",
    "failed: conv: wrong",
  ]);
});

it("a kept run is compared by its steps and kernels", () => {
  const run = (stepsPerSecond: number, median: number) => ({
    ...{ steps: [{ tier: "f16", stepsPerSecond }], rows: [{ name: "conv", rung: "best", ms: { median } }] },
  });
  expect(compareRuns(run(40, 1), run(39, 1.05), 1.1)).toEqual([]);
  expect(compareRuns(run(40, 1), run(20, 1), 1.1)).toEqual(["step, f16: 50.00 ms, was 25.00 ms (2.00x)"]);
  expect(compareRuns(run(40, 1), run(40, 3), 1.1)).toEqual(["conv best: 3.00 ms, was 1.00 ms (3.00x)"]);
});

it("what fails is told of, and the rest goes on", async () => {
  const lines: string[] = [];
  const kept: number[] = [];
  const report: GpuReport = await benchGpu(
    {
      ...{ family: "embedded", size: 64, batch: 0, runs: 1, tier: "software", goals: "h100", name: "conv3x3_64_64_" },
      peer: { python: "limn-no-such-python", device: "cuda" },
    },
    (line) => lines.push(line),
    ({ rows }) => kept.push(rows.length),
  );
  // Without samples the U-Net's launches have nothing to do; the VAE's one picture is another matter.
  expect(report.failures.some((failure) => failure.startsWith("step, software: "))).toBe(true);
  expect(report.failures.some((failure) => failure.startsWith("conv3x3_64_64_8_x0: "))).toBe(true);
  expect(report.rows.map(({ name }) => name)).toEqual(["conv3x3_64_64_32"]);
  expect(report.rows.every(({ share, error }) => share > 0 && error < 1e-4)).toBe(true);
  expect(report.peak).toBe(620_000);
  expect(report.peer).toEqual({ why: expect.stringContaining("limn-no-such-python") });
  expect(lines.filter((line) => line.startsWith("FAILED"))).toHaveLength(report.failures.length);
  expect(kept.at(-1)).toBe(report.rows.length);
});
