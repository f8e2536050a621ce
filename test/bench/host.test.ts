/** @file `bench host`: runs sorted by the state of their core. */
import { expect, test } from "vitest";
import { besideBare, byState, type HostRun } from "../../bench/host.ts";

const run = (micros: number, before: number, after: number, bare = 1): HostRun => ({ micros, before, after, bare });

test("a core is whole where both gauges are near the best, shared where both are far from it", () => {
  const { gauge, rows } = byState(
    [run(3, 1, 1.1), run(4, 1.15, 1), run(5, 1, 2), run(6, 2, 2), run(7, 1.3, 1.4), run(8, 2, 2)],
    200,
  );
  expect(gauge.best).toBe(1);
  expect(rows.map(({ name, microsPerDispatch }) => [name, microsPerDispatch.runs, microsPerDispatch.median])).toEqual([
    ["whole", 2, 4],
    ["changing", 1, 5],
    ["shared", 3, 7],
  ]);
  expect(rows[0]!.ms.median, "a step of 200 dispatches").toBeCloseTo(0.8);
});

test("states that did not come have no row", () => {
  expect(byState([run(3, 1, 1)], 10).rows.map(({ name }) => name)).toEqual(["whole"]);
});

test("each run is set beside the bare dispatches of its own moment", () => {
  const { ratio, microsPerDispatch } = besideBare([run(3, 1, 1, 2), run(6, 2, 2, 4), run(12, 3, 3, 4)]);
  expect(ratio).toEqual({ median: 1.5, p10: 1.5, p90: 3, runs: 3 });
  expect(microsPerDispatch.median).toBe(4);
});
