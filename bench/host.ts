/**
 * @file `bench host`: what encoding a denoising step costs the host, beside the state of its core and what bare dispatches cost in the same
 * moment. A virtual core is often half of a real one, whose other half a neighbour uses or not: the same work takes then twice as long,
 * and which it was only a measurement tells.
 */
import type { Device } from "../engine/index.ts";
import { BareDispatches } from "./bare-dispatches.ts";
import type { StepOptions } from "./step.ts";
import { familyHeader, makeStepModel } from "./step-model.ts";
import { type Spread, spread } from "./timing.ts";

/** Microseconds a dispatch of a picture's steps, and what a fixed piece of work took right before and after them, in milliseconds. */
export interface HostRun {
  readonly micros: number;
  readonly before: number;
  readonly after: number;
  /** Microseconds a dispatch of the yardstick, encoded next. */
  readonly bare: number;
}

export interface HostRow {
  /** State of the core. */
  readonly name: "whole" | "shared" | "changing";
  /** Encoding one step. */
  readonly ms: Spread;
  readonly microsPerDispatch: Spread;
}

export interface HostReport {
  readonly dispatches: number;
  /** The fixed piece of work: its best, and in the middle. */
  readonly gauge: { readonly best: number; readonly median: number };
  readonly rows: readonly HostRow[];
  /** The yardstick, and how many times as long a step's dispatch took in the same run. */
  readonly bare: { readonly microsPerDispatch: Spread; readonly ratio: Spread };
}

/** Steps of a picture, encoded side by side where shaders run on the host's cores. */
const steps = 20;
/** A core counts as whole where the gauge takes this much of its best time at most, and as shared from the second on. */
const [whole, shared] = [1.15, 1.3];

export async function benchHost(
  device: Device,
  options: Omit<StepOptions, "ceiling">,
  log: (line: string) => void,
): Promise<HostReport> {
  const model = await makeStepModel(device, await familyHeader(options.family), options.size, options.batch);
  const { step } = model;
  model.fill();
  model.prepare.run();
  await step.ready();
  const bareDispatches = new BareDispatches(device.gpu, step.launches.length);
  for (let i = 0; i < 200; i++) gauge(); // V8 compiles it, more than once
  const runs: HostRun[] = [];
  // The first is not counted.
  for (let i = 0; i <= options.runs; i++) {
    step.expectRuns(0);
    await rest();
    const before = gauge();
    if (device.isSoftware) step.expectRuns(steps);
    else for (let k = 0; k < steps; k++) step.run();
    const after = gauge();
    await device.idle();
    await rest();
    const bare = bareDispatches.encode(steps);
    if (i > 0) runs.push({ micros: device.submitter.hostMicrosPerDispatch, before, after, bare });
    device.counters.replayMicros.length = 0;
  }
  const dispatches = step.launches.length;
  model.free();
  bareDispatches.destroy();
  const report = { dispatches, ...byState(runs, dispatches), bare: besideBare(runs) };
  for (const line of describeHost(report)) log(line);
  return report;
}

/** Runs sorted by what the gauge told. */
export function byState(runs: readonly HostRun[], dispatches: number): Pick<HostReport, "gauge" | "rows"> {
  const times = runs.flatMap(({ before, after }) => [before, after]);
  const best = Math.min(...times);
  const stateOf = ({ before, after }: HostRun): HostRow["name"] => {
    if (Math.max(before, after) <= whole * best) return "whole";
    return Math.min(before, after) >= shared * best ? "shared" : "changing";
  };
  const rows = (["whole", "changing", "shared"] as const).flatMap((name): HostRow[] => {
    const micros = runs.filter((run) => stateOf(run) === name).map((run) => run.micros);
    if (micros.length === 0) return [];
    const ms = spread(micros.map((each) => (each * dispatches) / 1000));
    return [{ name, ms, microsPerDispatch: spread(micros) }];
  });
  return { gauge: { best, median: spread(times).median }, rows };
}

/** A ratio for each run by itself: what its moment does to one time, it does to the other. */
export function besideBare(runs: readonly HostRun[]): HostReport["bare"] {
  return {
    microsPerDispatch: spread(runs.map(({ bare }) => bare)),
    ratio: spread(runs.map(({ micros, bare }) => micros / bare)),
  };
}

/** Milliseconds of ten sums side by side: more than half a core computes at a time, so that it is felt when the other half is taken. */
function gauge(): number {
  const start = performance.now();
  let [a, b, c, d, e, f, g, h, k, l] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  for (let i = 0; i < 200_000; i++) {
    a = (a + i) ^ 17;
    b = (b + i) ^ 19;
    c = (c + i) ^ 21;
    d = (d + i) ^ 23;
    e = (e + i) ^ 25;
    f = (f + i) ^ 27;
    g = (g + i) ^ 29;
    h = (h + i) ^ 31;
    k = (k + i) ^ 33;
    l = (l + i) ^ 35;
  }
  const millis = performance.now() - start;
  // So that the sums are wanted.
  if (a + b + c + d + e + f + g + h + k + l === 0.5) throw new Error("sums of whole numbers are whole");
  return millis;
}

/** Lets the garbage of a run go. */
function rest(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 15));
}

function describeHost({ dispatches, gauge, rows, bare }: HostReport): string[] {
  const count = bare.ratio.runs;
  return [
    `${dispatches} dispatches a step; ${steps} steps encoded, ${count} times; a gauge beside them ${gauge.best.toFixed(2)} ms at best, ${gauge.median.toFixed(2)} in the middle`,
    ...rows.map(
      ({ name, microsPerDispatch }) =>
        `  core ${name.padEnd(8)}  ${String(microsPerDispatch.runs).padStart(4)} times  ${describe(microsPerDispatch)} us a dispatch`,
    ),
    `  ${describe(bare.ratio)} times as long as a bare dispatch of three buffers, which took ${describe(bare.microsPerDispatch)} us`,
  ];
}

function describe({ median, p10, p90 }: Spread): string {
  return `${median.toFixed(2)} (${p10.toFixed(2)}..${p90.toFixed(2)})`;
}
