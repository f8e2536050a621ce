import { describe, expect, it } from "vitest";
import { compareRuns, differences, expectComparable } from "../../bench/compare.ts";
import { reportOf } from "../../bench/load-runs.ts";

const kept = { family: "sd15", size: 256, tier: "f32", adapter: "A", rows: [{ name: "conv", rung: "best", ms: { median: 2 } }] };
const refusal = expect.objectContaining({ code: "NOTHING_TO_COMPARE" });

function thrown(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

describe("what can be compared", () => {
  it("is a run of the same family, size and batch", () => {
    const same = { family: "sd15", size: 256 };
    expect(() => expectComparable(kept, same, ["matmul", "conv"])).not.toThrow();
    for (const other of [{ ...same, family: "sdxl" }, { ...same, size: 512 }, { ...same, batch: 2 }, {}])
      expect(thrown(() => expectComparable(kept, other))).toEqual(refusal);
  });

  it("has a row in common, and times", () => {
    expect(thrown(() => expectComparable(kept, kept, ["matmul"]))).toEqual(refusal);
    expect(thrown(() => expectComparable({ rows: [{ name: "conv", ms: null }] }, {}))).toEqual(refusal);
    expect(thrown(() => compareRuns(kept, { rows: [{ name: "matmul", rung: "best", ms: 1 }] }, 1.1))).toEqual(refusal);
    expect(thrown(() => compareRuns(kept, { rows: [{ name: "conv", rung: "naive", ms: 1 }] }, 1.1))).toEqual(refusal);
  });

  it("differs in adapter, tier or precision with a warning", () => {
    expect(differences(kept, kept)).toEqual([]);
    expect(differences(kept, { ...kept, tier: "f16", adapter: "B" })).toEqual([
      "warning: compared with a run of another adapter: A; this one's is B",
      "warning: compared with a run of another tier: f32; this one's is f16",
    ]);
  });
});

it("a row without a time counts as slower", () => {
  const now = { rows: [{ name: "conv", rung: "best", ms: { median: Number.NaN } }] };
  expect(compareRuns(kept, now, 1.1)).toEqual([expect.stringContaining("conv best: NaN ms, was 2.00 ms")]);
});

it("loads are compared by their time", () => {
  const copies = { read: 0.1, copy: 0.2, widen: 0 };
  const run = { fileBytes: 1, weightBytes: 1, readAndCopy: copies, loadCpu: 1, jsHeapBytes: 1, jsExternalBytes: 1, gpuBytes: 1 };
  const [before, after] = [reportOf([{ ...run, load: 1 }]), reportOf([{ ...run, load: 2 }])];
  expect(compareRuns(before, before, 1.1)).toEqual([]);
  expect(compareRuns(before, after, 1.1)).toEqual(["load: 2000.00 ms, was 1000.00 ms (2.00x)"]);
});
