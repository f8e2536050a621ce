/** @file GPU time of recorded work: medians of timestamps, after a warm-up. */
import { type Device, Profiler, type Timing } from "../engine/index.ts";

export interface Spread {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  readonly runs: number;
}

/** Median and the tenths of a list of numbers. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.round(share * (sorted.length - 1)))] ?? Number.NaN;
  return { median: at(0.5), p10: at(0.1), p90: at(0.9), runs: sorted.length };
}

/** Runs `work` once and gives its dispatches with their GPU times. Needs the feature timestamp-query. */
export async function profile(device: Device, work: () => void): Promise<Timing[]> {
  device.flush();
  device.submitter.profiler = new Profiler(device.gpu);
  try {
    work();
    device.flush();
    return await device.submitter.profiler.collect();
  } finally {
    device.submitter.profiler = undefined;
  }
}

/**
 * Milliseconds of GPU time of `work(i)`, i = 0, 1, ...: callers rotate inputs by i so that caches hold nothing of the run before.
 * Every run makes the same dispatches. At least `minRuns`, and more until `budget` milliseconds are spent.
 */
export async function gpuMillis(device: Device, work: (run: number) => void, minRuns = 5, budget = 1500): Promise<Spread> {
  let done = 0;
  const timed = async (runs: number): Promise<number[]> => {
    const timings = await profile(device, () => {
      for (let i = 0; i < runs; i++) work(done++);
    });
    const each = timings.length / runs;
    const total = (own: readonly Timing[]): number => own.reduce((sum, { nanoseconds }) => sum + nanoseconds / 1e6, 0);
    return Array.from({ length: runs }, (_, run) => total(timings.slice(run * each, (run + 1) * each)));
  };
  await timed(1); // compiles, and touches all memory once
  const together = device.isSoftware ? 1 : await warmUp(timed);
  const most = device.isSoftware ? 50 : 200;
  const millis: number[] = [];
  const begin = performance.now();
  while (millis.length < minRuns || (performance.now() - begin < budget && millis.length < most))
    millis.push(...(await timed(together)));
  device.check();
  return spread(millis);
}

/**
 * A GPU's clock sleeps when there is no work: 100 ms of it. Gives the runs that a submission should have so that the next ones don't
 * wait for the host: 50 ms of them, 20 at most.
 */
async function warmUp(timed: (runs: number) => Promise<number[]>): Promise<number> {
  const begin = performance.now();
  let together = 1;
  while (performance.now() - begin < 100) {
    const quickest = Math.min(...(await timed(together)));
    together = Math.max(1, Math.min(20, Math.floor(50 / quickest)));
  }
  return together;
}
