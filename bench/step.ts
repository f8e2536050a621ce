/** @file `bench step`: one denoising step with synthetic weights, in all, by kernel and by block, against what it could take. */
import type { Device } from "../engine/index.ts";
import { arithmeticPeak, type Ceiling, measureCeiling } from "./ceiling.ts";
import { type LaunchCost, launchCosts } from "./launch-costs.ts";
import type { BenchFamily } from "./shapes.ts";
import { familyHeader, makeStepModel, type StepModel } from "./step-model.ts";
import { dispatchMillis, measureGemm, stepMillis } from "./step-timing.ts";
import type { Spread } from "./timing.ts";
import { totalFlop, unetWork } from "./work.ts";

export interface StepOptions {
  readonly family: BenchFamily;
  /** Pixels. */
  readonly size: number;
  readonly batch: number;
  readonly runs: number;
  /** What the adapter can do, where that is known already. */
  readonly ceiling?: Ceiling;
}

/** A kernel's or a block's part of the step. */
export interface StepRow {
  readonly name: string;
  readonly launches: number;
  /** GPU milliseconds: of a part by timestamps around each dispatch; of the whole, wall clock without them. */
  readonly ms: number | Spread;
  readonly gflop: number;
  readonly gflops: number;
  /** GB/s of bound ranges, each counted once. */
  readonly gbs: number;
  /** Share of the least time that arithmetic and memory would take. */
  readonly ofFloor: number;
}

export interface StepReport {
  readonly weightBytes: number;
  readonly activationBytes: number;
  readonly gpuBytes: number;
  readonly dispatches: number;
  readonly hostMicrosPerDispatch: number;
  readonly stepsPerSecond: number;
  /** Sum of the dispatches' own times; the rest of the wall clock is gaps between them. */
  readonly profiledMs: number;
  readonly ceiling: Ceiling;
  /** Best of the matrix products that this run timed, GFLOP/s. */
  readonly bestGemm: { readonly name: string; readonly gflops: number };
  /** The step's GFLOP/s over that. */
  readonly ofBestGemm: number;
  /**
   * The same rates by processor time, for drivers that compute on the CPU: a busy machine halves what the wall clock shows, but
   * hardly this. It says nothing of cores that stood idle.
   */
  readonly processor?: { readonly gflops: number; readonly bestGemm: number; readonly ofBestGemm: number };
  /** Sum over the launches of the least time each could take, and its share of the wall clock. */
  readonly floorMs: number;
  readonly ofFloors: number;
  /** The step, then its kernels, the longest first. */
  readonly rows: readonly StepRow[];
  readonly blocks: readonly StepRow[];
}

export async function benchStep(device: Device, options: StepOptions, log: (line: string) => void): Promise<StepReport> {
  const model = await makeStepModel(device, await familyHeader(options.family), options.size, options.batch);
  const { step } = model;
  const work = unetWork(model.config.unet, model.work);
  const flop = totalFlop(work).step;
  log(`${step.launches.length} dispatches, ${(flop / 1e9).toFixed(1)} GFLOP; filling ${gigabytes(model.weightBytes)} of weights`);
  model.fill();
  model.prepare.run();
  await step.ready();
  const { walls, processorMs } = await stepMillis(device, step, options.runs, log);
  await expectSound(model);
  const { hostMicrosPerDispatch } = device.submitter;
  const times = await dispatchMillis(device, step);
  const memory = { weightBytes: model.weightBytes, activationBytes: device.activationBytes, gpuBytes: device.memory.peakBytes };
  const costs = launchCosts(step.launches, model.weights, work);
  model.free();
  device.trim();
  const bestGemm = await measureGemm(device);
  const ceiling = options.ceiling ?? (await measureCeiling(device));

  const peak = Math.max(bestGemm.gflops, arithmeticPeak(device, ceiling));
  const floorOf = ({ flop, bytes }: LaunchCost): number => Math.max(flop / peak, bytes / ceiling.copy) / 1e6;
  const floorMs = costs.reduce((sum, cost) => sum + floorOf(cost), 0);
  const parts = costs.map((cost, i) => ({ ...cost, ms: times[i] ?? Number.NaN, floor: floorOf(cost) }));
  const wall = walls.median;
  const byProcessor = flop / processorMs / 1e6;
  const report: StepReport = {
    ...memory,
    dispatches: step.launches.length,
    hostMicrosPerDispatch,
    stepsPerSecond: 1000 / wall,
    profiledMs: times.reduce((sum, ms) => sum + ms, 0),
    ceiling,
    bestGemm,
    ofBestGemm: flop / wall / 1e6 / bestGemm.gflops,
    ...(device.isSoftware && {
      processor: {
        gflops: byProcessor,
        bestGemm: bestGemm.byProcessor,
        ofBestGemm: byProcessor / bestGemm.byProcessor,
      },
    }),
    floorMs,
    ofFloors: floorMs / wall,
    rows: [{ ...rowOf("step", parts, wall), ms: walls }, ...group(parts, ({ kernel }) => kernel)],
    blocks: group(parts, ({ block }) => block),
  };
  for (const line of describeStep(report)) log(line);
  return report;
}

/** Numbers that overflow or stay zero would be timed as something else than a step. */
async function expectSound({ step, nonFinite }: StepModel): Promise<void> {
  const [bad] = await nonFinite.readU32();
  const values = await step.result.read();
  const spreadOut = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  if (bad || !(spreadOut > 1e-3)) throw new Error(`the step's output is wrong: ${bad} values not finite, spread ${spreadOut}`);
}

interface Part extends LaunchCost {
  readonly ms: number;
  readonly floor: number;
}

function rowOf(name: string, parts: readonly Part[], ms = sum(parts, (part) => part.ms)): StepRow {
  const flop = sum(parts, (part) => part.flop);
  return {
    name,
    launches: parts.length,
    ms,
    gflop: flop / 1e9,
    gflops: flop / ms / 1e6,
    gbs: sum(parts, ({ bytes }) => bytes) / ms / 1e6,
    ofFloor: sum(parts, ({ floor }) => floor) / ms,
  };
}

function group(parts: readonly Part[], keyOf: (part: Part) => string): StepRow[] {
  const groups = new Map<string, Part[]>();
  for (const part of parts) groups.set(keyOf(part), [...(groups.get(keyOf(part)) ?? []), part]);
  return [...groups].map(([name, members]) => rowOf(name, members)).sort((a, b) => Number(b.ms) - Number(a.ms));
}

function sum<T>(items: readonly T[], pick: (item: T) => number): number {
  return items.reduce((total, item) => total + pick(item), 0);
}

function describeStep(report: StepReport): string[] {
  const [whole, ...kernels] = report.rows;
  const { median, p10, p90, runs } = whole!.ms as Spread;
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  const line = (row: StepRow): string =>
    [
      `  ${row.name.padEnd(28)}`,
      `${String(row.launches).padStart(4)} x`,
      `${Number(row.ms).toFixed(2).padStart(10)} ms`,
      `${percent(Number(row.ms) / report.profiledMs).padStart(5)}`,
      `${row.gflops.toFixed(1).padStart(9)} GFLOP/s`,
      `${row.gbs.toFixed(1).padStart(8)} GB/s`,
      `${percent(row.ofFloor).padStart(6)} of its floor`,
    ].join("  ");
  return [
    `step: ${median.toFixed(1)} ms (${p10.toFixed(1)}..${p90.toFixed(1)}, ${runs} runs), ${report.stepsPerSecond.toFixed(2)} steps/s; ` +
      `${whole!.gflop.toFixed(1)} GFLOP, ${whole!.gflops.toFixed(1)} GFLOP/s = ${percent(report.ofBestGemm)} of the best GEMM ` +
      `(${report.bestGemm.name}, ${report.bestGemm.gflops.toFixed(1)} GFLOP/s)`,
    ...(report.processor ? [describeProcessor(report.processor)] : []),
    `profiled ${report.profiledMs.toFixed(1)} ms; sum of floors ${report.floorMs.toFixed(1)} ms = ${percent(report.ofFloors)} of the step`,
    `${report.dispatches} dispatches, host ${report.hostMicrosPerDispatch.toFixed(2)} us each; ` +
      `GPU ${gigabytes(report.gpuBytes)}: weights ${gigabytes(report.weightBytes)}, activations ${gigabytes(report.activationBytes)}`,
    "by kernel",
    ...kernels.map(line),
    "by block",
    ...report.blocks.map(line),
  ];
}

function describeProcessor({ gflops, bestGemm, ofBestGemm }: NonNullable<StepReport["processor"]>): string {
  const share = `${(100 * ofBestGemm).toFixed(0)} % of the best GEMM's ${bestGemm.toFixed(1)}`;
  return `by processor time: ${gflops.toFixed(1)} GFLOP in a second of one core = ${share}`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
