import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HowLong } from "../../cli/terminal/how-long.ts";
import { describeRead, describeSeconds, describeStep, Progress } from "../../cli/terminal/progress.ts";

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

describe("progress in a file or pipe", () => {
  let lines: string[];
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["performance"] });
    lines = [];
    vi.spyOn(process.stderr, "write").mockImplementation((text) => lines.push(String(text)) > 0);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
  const plain = (quiet = false) => new Progress({ quiet, verbose: false });

  it("is a line a second with stage, step, rate and time left, and a last one", () => {
    const progress = plain();
    progress.stage("denoise");
    for (let step = 1; step <= 20; step++) {
      vi.advanceTimersByTime(250);
      progress.step(step, 20);
    }
    progress.stage("decode");
    vi.advanceTimersByTime(1230);
    progress.end();
    expect(lines).toEqual([
      "denoise 4/20, 4.0 steps/s, 4 s left\n",
      "denoise 8/20, 4.0 steps/s, 3 s left\n",
      "denoise 12/20, 4.0 steps/s, 2 s left\n",
      "denoise 16/20, 4.0 steps/s, 1 s left\n",
      "denoise 20/20, 4.0 steps/s\n",
      "decode 1.23 s\n",
    ]);
  });

  it("has the last line of a stage that is over at once", () => {
    const progress = plain();
    progress.stage("load");
    vi.advanceTimersByTime(10);
    progress.read({ bytes: 5e6, totalBytes: 10e6, bytesPerSecond: 1e9 });
    progress.read({ bytes: 10e6, totalBytes: 10e6, bytesPerSecond: 1e9 });
    progress.read({ bytes: 10e6, totalBytes: 10e6, bytesPerSecond: 1e9 });
    progress.end("an adapter");
    expect(lines).toEqual(["load 10 of 10 MB, 1000 MB/s, 0 s left\n"]);
  });

  it("tells the time that it is given in the place of its own", () => {
    const progress = plain();
    progress.stage("decode");
    vi.advanceTimersByTime(950);
    progress.end("", 0.5);
    expect(lines).toEqual(["decode 0.50 s\n"]);
  });

  it("is nothing with --quiet", () => {
    const progress = plain(true);
    progress.stage("denoise");
    vi.advanceTimersByTime(5000);
    progress.step(1, 2);
    progress.step(2, 2);
    progress.end();
    expect(lines).toEqual([]);
  });

  it("counts steps from where a second pass begins", () => {
    const progress = plain();
    progress.stage("denoise");
    for (let step = 21; step <= 24; step++) {
      vi.advanceTimersByTime(2000);
      progress.step(step, 40);
    }
    expect(lines.at(0)).toBe("denoise 21/40\n");
    expect(lines.at(-1)).toBe("denoise 24/40, 2.0 s/step, 32 s left\n");
  });
});

describe("how long a run takes on the CPU", () => {
  /** What is said of a picture whose steps take so long, compiling apart, when the host is two steps ahead. */
  const said = (stepSeconds: number, steps: number, compiling = 5) => {
    const howLong = new HowLong();
    return Array.from({ length: steps }, (_, i) => {
      const made = i + 1 - 2;
      return howLong.after(i + 1, steps, made < 1 ? 0.1 : compiling + made * stepSeconds);
    }).filter((text) => text !== undefined);
  };

  it("is said once, in minutes", () => {
    expect(said(42, 20, 0)).toEqual(["expect about 14 min on the CPU"]);
    expect(said(6, 20)).toEqual(["expect about 2 min on the CPU"]);
  });

  it("is not said of a minute or less", () => {
    expect(said(0.5, 20)).toEqual([]);
    expect(said(2, 20, 15)).toEqual([]);
    expect(said(100, 2)).toEqual([]);
  });
});
