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
 * At least `minRuns`, and more until `budget` milliseconds are spent.
 */
export async function gpuMillis(device: Device, work: (run: number) => void, minRuns = 5, budget = 1500): Promise<Spread> {
  await profile(device, () => work(0)); // compiles, and touches all memory once
  const millis: number[] = [];
  const begin = performance.now();
  for (let i = 1; millis.length < minRuns || (performance.now() - begin < budget && millis.length < 50); i++) {
    const timings = await profile(device, () => work(i));
    millis.push(timings.reduce((sum, { nanoseconds }) => sum + nanoseconds / 1e6, 0));
  }
  device.check();
  return spread(millis);
}
