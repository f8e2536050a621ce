import { describe, expect, it } from "vitest";
import type { KernelRow } from "../../bench/kernels.ts";
import { bestRows, drawRoofline } from "../../bench/roofline.ts";

const row = (name: string, rung: string, ms: number, gflops: number, gbs: number): KernelRow => ({
  name,
  rung,
  ms: { median: ms, p10: ms, p90: ms, runs: 5 },
  gflops,
  gbs,
  timesNaive: undefined,
  timesPlainTile: undefined,
  ofCeiling: 0.5,
  error: 0,
});
const kept = {
  adapter: "a <test> adapter",
  tier: "f32",
  precision: "f32",
  ceiling: { f32: 100, f16: undefined, copy: 10 },
  rows: [
    row("matmul_64_64_64", "naive", 9, 5, 1),
    row("matmul_64_64_64", "tiled", 1, 45, 9),
    row("groupNorm_64_320", "best", 1, 2, 5),
  ],
} as const;

/** Centres of the dots. */
const dots = (svg: string) => [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);

describe("roofline", () => {
  it("shows the fastest rung of each shape", () => {
    expect(bestRows(kept.rows).map(({ name, rung }) => [name, rung])).toEqual([
      ["matmul_64_64_64", "tiled"],
      ["groupNorm_64_320", "best"],
    ]);
    expect(dots(drawRoofline(kept))).toHaveLength(2);
  });

  it("puts higher rates higher and higher intensities further right, and no dot above the roof", () => {
    const svg = drawRoofline(kept);
    const [product, norm] = dots(svg) as [number[], number[]];
    expect(product[0]).toBeGreaterThan(norm[0]!);
    expect(product[1]).toBeLessThan(norm[1]!);
    const corners = /<polyline points="([^"]+)"/
      .exec(svg)![1]!
      .split(" ")
      .map((corner) => corner.split(",").map(Number));
    const [start, ridge, end] = corners as [number[], number[], number[]];
    expect(ridge[1]).toBe(end[1]);
    expect(start[1]).toBeGreaterThan(ridge[1]!);
    expect(product[1]).toBeGreaterThan(ridge[1]!);
  });

  it("escapes what the adapter calls itself", () => {
    expect(drawRoofline(kept)).toContain("a &lt;test&gt; adapter");
  });
});
