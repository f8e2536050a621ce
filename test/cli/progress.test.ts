import { describe, expect, it } from "vitest";
import { describeRead, describeSeconds, describeStep } from "../../cli/terminal/progress.ts";

describe("progress", () => {
  it("tells steps and what is left of them", () => {
    expect(describeStep(7, 20, 3.14)).toBe("7/20, 3.1 steps/s, 5 s left");
    expect(describeStep(1, 3, 0.25)).toBe("1/3, 4.0 s/step, 8 s left");
  });

  it("tells bytes and their rate", () => {
    expect(describeRead(1.23e9, 4.27e9, 8.5e8)).toBe("1.2 of 4.3 GB, 850 MB/s, 4 s left");
    expect(describeRead(10e6, 29e6, 4e8)).toBe("10 of 29 MB, 400 MB/s, 1 s left");
    expect(describeRead(5e6, 5e6, 5e6)).toBe("5 of 5 MB, 5 MB/s, 0 s left");
  });

  it("tells times as people do", () => {
    expect([0.2, 59.5, 125, 3780].map(describeSeconds)).toEqual(["1 s", "1 min 0 s", "2 min 5 s", "1 h 3 min"]);
  });
});
