/** @file The clocks of `bench step`: wall and processor time of replayed steps, time of each dispatch, and the GEMM rate beside them. */
import type { Capture, Device } from "../engine/index.ts";
import { makeInputs } from "./inputs.ts";
import { matmulCase } from "./operations.ts";
import { gpuMillis, profile, type Spread, spread } from "./timing.ts";

/** Milliseconds of a step, many enough in a row that waiting for the last one does not count; the first is not timed. */
export async function stepMillis(
  device: Device,
  step: Capture<unknown>,
  runs: number,
  log: (line: string) => void,
): Promise<{ walls: Spread; processorMs: number }> {
  const once = async (steps: number): Promise<number> => {
    await device.idle();
    const begin = performance.now();
    step.expectRuns(steps); // as a picture's steps are
    for (let i = 0; i < steps; i++) step.run();
    await device.idle();
    return (performance.now() - begin) / steps;
  };
  let first = await once(1); // touches all memory once
  if (first < 100) first = await once(Math.ceil(200 / first)); // and wakes a GPU's clock
  const steps = Math.max(1, Math.ceil(500 / first));
  log(`${steps === 1 ? "a step" : `${steps} steps in a row`} at a time, the first took ${(first / 1000).toFixed(2)} s`);
  const walls: number[] = [];
  const before = process.cpuUsage();
  for (let i = 0; i < runs; i++) walls.push(await once(steps));
  return { walls: spread(walls), processorMs: processorMillis(before) / (runs * steps) };
}

/** Milliseconds of each dispatch, of the quicker of two steps. */
export async function dispatchMillis(device: Device, step: Capture<unknown>): Promise<number[]> {
  const steps: number[][] = [];
  for (let i = 0; i < 2; i++) {
    const timings = await profile(device, () => step.run());
    steps.push(timings.map(({ nanoseconds }) => nanoseconds / 1e6));
  }
  const total = (times: readonly number[] | undefined): number => (times ?? []).reduce((sum, ms) => sum + ms, 0);
  return (total(steps[1]) < total(steps[0]) ? steps[1] : steps[0]) ?? [];
}

export interface GemmRate {
  readonly name: string;
  /** GFLOP/s by the GPU's clock. */
  readonly gflops: number;
  /** GFLOP in a second of this process's time on any core, for drivers that compute there. */
  readonly byProcessor: number;
}

/** The best rates of a few large products, each on the rung that would be picked. */
export async function measureGemm(device: Device): Promise<GemmRate> {
  const cases = device.isSoftware
    ? [matmulCase(1024, 1024, 1024), matmulCase(1024, 320, 2560), matmulCase(256, 1280, 1280)]
    : [matmulCase(4096, 4096, 4096), matmulCase(8192, 1280, 1280), matmulCase(4096, 1280, 10240)];
  let best: GemmRate = { name: "", gflops: 0, byProcessor: 0 };
  for (const product of cases) {
    const tensors = makeInputs(device, product, 1);
    const run = (): void => device.scope(() => void product.run(tensors, "best"));
    const { p10 } = await gpuMillis(device, run, 5, 1000);
    const byProcessor = Math.max(best.byProcessor, await processorRate(device, product.flop, run));
    for (const tensor of tensors) tensor.free();
    const gflops = product.flop / p10 / 1e6;
    best = gflops > best.gflops ? { name: product.name, gflops, byProcessor } : { ...best, byProcessor };
  }
  return best;
}

async function processorRate(device: Device, flop: number, work: () => void): Promise<number> {
  await device.idle();
  const before = process.cpuUsage();
  const begin = performance.now();
  let runs = 0;
  while (performance.now() - begin < 500) {
    for (let i = 0; i < 4; i++) work();
    await device.idle();
    runs += 4;
  }
  return (runs * flop) / processorMillis(before) / 1e6;
}

function processorMillis(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
