/**
 * @file `bench gpu`: what is asked of a GPU, measured in one run: steps of every tier that it has, then the kernels of the best one,
 * each beside its goal and beside PyTorch. A part that fails is told of, and the others go on.
 */
import { AdapterError, adapterName, type Precision, type Tier, tiers } from "../engine/index.ts";
import { arithmeticPeak, type Ceiling, measureCeiling } from "./ceiling.ts";
import { type GoalSet, goalsFor, hopperPeak, kernelGoal, stepGoal } from "./goals.ts";
import { benchDevice } from "./gpu.ts";
import { describeGoals, describeGpuStep, describeKernel, kernelTitle } from "./gpu-lines.ts";
import { copiesOf } from "./inputs.ts";
import { benchCaseRungs, describeCeiling, isNorm, type KernelRow } from "./kernels.ts";
import { type PeerOptions, type PeerTimes, runPeer } from "./peer.ts";
import { type BenchFamily, familyCases } from "./shapes.ts";
import { benchStep, type StepReport } from "./step.ts";

export interface GpuOptions {
  readonly family: BenchFamily;
  /** Pixels. */
  readonly size: number;
  readonly batch: number;
  /** Timed steps, or rows of steps. */
  readonly runs: number;
  /** Only this tier, for steps and kernels. */
  readonly tier?: Tier | undefined;
  readonly precision?: Precision | undefined;
  /** Default: by the adapter's name. */
  readonly goals?: GoalSet | undefined;
  /** TFLOP/s that shares are of. Default: Hopper's where there are goals, elsewhere what this run measured. */
  readonly peak?: number | undefined;
  readonly peer: PeerOptions;
  /** Only kernels whose name has this in it. */
  readonly name?: string | undefined;
}

export interface GpuStep extends StepReport {
  readonly tier: Tier;
  readonly precision: "f32" | "f16";
  /** Steps a second. */
  readonly goal: number | undefined;
}

export interface GpuKernel extends KernelRow {
  /** Of the peak; of the copy rate for norms. */
  readonly share: number;
  readonly goal: number | undefined;
  /** Milliseconds that PyTorch took, where it ran. */
  readonly torchMs: number | undefined;
}

export interface GpuReport {
  readonly adapter: string;
  /** Of the kernels: the best that the adapter has. */
  readonly tier: Tier;
  readonly precision: "f32" | "f16";
  readonly goals: GoalSet;
  /** NaN where measuring it failed. */
  readonly ceiling: Ceiling;
  /** GFLOP/s that shares are of. */
  readonly peak: number;
  readonly steps: GpuStep[];
  /** Tiers that the adapter does not have. */
  readonly without: { readonly tier: Tier; readonly why: string }[];
  /** All goals, also of what is not there or failed; `value`, where it was measured, in the goal's unit. */
  readonly asked: Asked[];
  peer: Omit<PeerTimes, "rows"> | { readonly why: string } | undefined;
  readonly rows: GpuKernel[];
  readonly failures: string[];
}

export interface Asked {
  readonly name: string;
  readonly goal: number;
  value?: number;
}

interface Run {
  readonly options: GpuOptions;
  readonly report: GpuReport;
  readonly log: (line: string) => void;
  /** Undefined where the work fails, which goes into the report. */
  attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined>;
}

/** @param keep is given what is known so far after every part: a run may be cut off */
export async function benchGpu(
  options: GpuOptions,
  log: (line: string) => void,
  keep: (report: GpuReport) => void,
): Promise<GpuReport> {
  const failures: string[] = [];
  const attempt: Run["attempt"] = async (what, work) => {
    try {
      return await work();
    } catch (error) {
      failures.push(`${what}: ${error instanceof Error ? error.message : error}`);
      log(`FAILED ${failures.at(-1)}`);
      return undefined;
    }
  };
  const parts = { steps: [], without: [], asked: [], peer: undefined, rows: [], failures };
  const report: GpuReport = { ...(await measureAdapter(options, attempt)), ...parts };
  const { adapter, tier, precision, goals, ceiling, peak } = report;
  log(`${adapter}: best tier ${tier}, ${precision}; goals: ${goals}`);
  log(`${describeCeiling(ceiling)}; shares are of ${(peak / 1000).toPrecision(3)} TFLOP/s, for norms of the copy rate`);
  const run: Run = { options, report, log, attempt };

  log(`\nsteps of ${options.family}, ${options.size}x${options.size}, batch ${options.batch}`);
  const isSoftware = tier === "software";
  for (const each of options.tier ? [options.tier] : tiers.filter((name) => name !== "software" || isSoftware)) {
    await attempt(`step, ${each}`, () => measureStep(run, each));
    keep(report);
  }
  log(
    `\nkernels of ${options.family}, ${options.size}x${options.size}, U-Net with batch ${options.batch}: tier ${tier}, ${precision}`,
  );
  await attempt("kernels", () => measureKernels(run, keep));
  for (const line of describeGoals(report)) log(line);
  return report;
}

type Adapter = Pick<GpuReport, "adapter" | "tier" | "precision" | "goals" | "ceiling" | "peak">;

async function measureAdapter(options: GpuOptions, attempt: Run["attempt"]): Promise<Adapter> {
  const device = await benchDevice(options);
  const goals = options.goals ?? goalsFor(adapterName(device.info));
  const unknown: Ceiling = { f32: Number.NaN, f16: undefined, copy: Number.NaN };
  const ceiling = (await attempt("ceiling", () => measureCeiling(device))) ?? unknown;
  const teraflops = options.peak ?? (goals === "none" ? undefined : hopperPeak);
  const peak = teraflops === undefined ? arithmeticPeak(device, ceiling) : 1000 * teraflops;
  device.close();
  return { adapter: adapterName(device.info), tier: device.tier, precision: device.storage, goals, ceiling, peak };
}

/** Puts a goal into the report, if there is one; gives where its value goes. */
function ask({ asked }: GpuReport, name: string, goal: number | undefined): (value: number) => void {
  if (goal === undefined) return () => {};
  const entry: Asked = { name, goal };
  asked.push(entry);
  return (value) => {
    entry.value = value;
  };
}

async function measureStep({ options, report, log }: Run, tier: Tier): Promise<void> {
  const { family, size, batch, runs, precision } = options;
  const goal = stepGoal(report.goals, tier, { family, size, batch });
  const note = ask(report, `step, ${tier}`, goal);
  const device = await benchDevice({ tier, precision }).catch((error: unknown) => {
    if (!(error instanceof AdapterError && error.code === "TIER_UNSUPPORTED")) throw error;
    report.without.push({ tier, why: error.message });
    log(`${tier}: none, ${error.message}`);
    return undefined;
  });
  if (!device) return;
  try {
    const timed = await benchStep(device, { family, size, batch, runs, ceiling: report.ceiling }, () => {});
    const step: GpuStep = { tier, precision: device.storage, goal, ...timed };
    note(step.stepsPerSecond);
    report.steps.push(step);
    for (const line of describeGpuStep(step)) log(line);
  } finally {
    device.close();
  }
}

async function measureKernels({ options, report, log, attempt }: Run, keep: (report: GpuReport) => void): Promise<void> {
  const { family, size, batch, precision, name = "" } = options;
  const { tier, goals, ceiling, peak } = report;
  const cases = familyCases(family, size, batch).filter((benchCase) => benchCase.name.includes(name));
  let device = await benchDevice({ tier, precision });
  // Before our own, so that each line can have its time; never at the same time.
  const peer = await runPeer(cases, (benchCase) => copiesOf(device, benchCase), options.peer);
  const torchMs = new Map("why" in peer ? [] : peer.rows.map(({ name, ms }) => [name, ms]));
  report.peer = "why" in peer ? peer : { torch: peer.torch, device: peer.device };
  log("why" in peer ? `PyTorch: none (${peer.why})` : `PyTorch ${peer.torch} on ${peer.device}, eager, fp16`);
  if (!("why" in peer)) for (const { name, error } of peer.rows) if (error) log(`PyTorch: no ${name} (${error})`);
  log(kernelTitle);
  for (const benchCase of cases) {
    const goal = kernelGoal(goals, benchCase);
    const note = ask(report, benchCase.name, goal);
    const rows = await attempt(benchCase.name, () => benchCaseRungs(device, benchCase, "best", ceiling, log));
    for (const row of rows ?? []) {
      const share = isNorm(benchCase) ? row.gbs / ceiling.copy : row.gflops / peak;
      note(share);
      report.rows.push({ ...row, share, goal, torchMs: torchMs.get(row.name) });
      log(describeKernel(report.rows.at(-1)!));
    }
    keep(report);
    if (!device.failure) continue;
    device.close();
    device = await benchDevice({ tier, precision });
  }
  device.close();
}
