/**
 * @file Cores that don't fall asleep between two launches. On a software adapter one core waits for the other at the end of each launch,
 * many times a millisecond apart; a core of a virtual machine then halts, and to wake it goes through the hypervisor (35 to 150
 * microseconds, sometimes a millisecond). Threads of the lowest priority keep them turning while the GPU is awaited.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { Worker } from "node:worker_threads";
import { gpuWaits } from "../../engine/wait.ts";
import { packageRoot } from "../package-root.ts";

/** Many cores wait for each other less often, and turning threads would heat all of them. */
const mostCores = 8;

/** What decides whether it pays. */
export interface Cores {
  readonly platform: string;
  /** Those this process may run on. */
  readonly count: number;
  /** Contents of /proc/cpuinfo; empty where there is none. */
  readonly cpuinfo: string;
  /** Contents of the control groups' files that may limit the processor time. */
  readonly quotas: readonly string[];
}

/** In a virtual machine with few cores, two at least. Not where processor time is rationed: turning would use it up. */
export function fallAsleep({ platform, count, cpuinfo, quotas }: Cores): boolean {
  const virtual = /^flags\s*:.*\bhypervisor\b/m.test(cpuinfo);
  const rationed = quotas.some((quota) => /^[1-9]/.test(quota)); // else "max", or -1
  return platform === "linux" && virtual && count > 1 && count <= mostCores && !rationed;
}

/** Processor time until now, in milliseconds: of all cores, what they were busy for, and what of it was this process. */
export interface ProcessorTimes {
  readonly total: number;
  readonly busy: number;
  readonly own: number;
}

/** What other processes took of all cores between two moments, 0 to 1. */
export function shareOfOthers(before: ProcessorTimes, after: ProcessorTimes): number {
  const total = after.total - before.total;
  const others = after.busy - before.busy - (after.own - before.own);
  return total > 0 ? Math.max(0, others / total) : 0;
}

/**
 * Where others take more than this, cores are awake without our help. The threads would do harm there: a process that exits waits for all
 * of its threads, and to end they need a few milliseconds of processor time, which with the lowest priority took up to 4 s.
 */
const mostOfOthers = 0.25;
/** How long the others are looked at. */
const watchMillis = 200;

let kept = false;

/** For a software adapter, once a process; LIMN_KEEP_AWAKE=0 leaves it. */
export function keepAwake(): void {
  const { LIMN_KEEP_AWAKE: wish } = process.env;
  if (kept || !gpuWaits || wish === "0") return;
  kept = true;
  const cores = thisMachine();
  if (!fallAsleep(cores)) return;
  const before = processorTimes();
  const start = (): void => {
    if (shareOfOthers(before, processorTimes()) <= mostOfOthers) startThreads(cores.count);
  };
  setTimeout(start, watchMillis).unref();
}

function startThreads(count: number): void {
  const thread = new URL("dist/cli/gpu/awake-thread.js", packageRoot);
  for (let i = 0; i < count; i++) {
    const worker = new Worker(thread, { workerData: gpuWaits, stdout: true, stderr: true });
    worker.on("error", () => {}); // no more than a hurry that didn't come
    worker.unref();
  }
}

function processorTimes(): ProcessorTimes {
  const { user, system } = process.cpuUsage();
  const times = { total: 0, busy: 0, own: (user + system) / 1000 };
  for (const { times: core } of cpus()) {
    const working = core.user + core.nice + core.sys + core.irq;
    times.busy += working;
    times.total += working + core.idle;
  }
  return times;
}

function thisMachine(): Cores {
  const { platform } = process;
  const count = availableParallelism();
  if (platform !== "linux") return { platform, count, cpuinfo: "", quotas: [] };
  return { platform, count, cpuinfo: contents("/proc/cpuinfo"), quotas: quotaFiles().map(contents) };
}

/** Of this process's control group and those above it: version 2 in cpu.max, version 1 in cpu.cfs_quota_us. */
function quotaFiles(): string[] {
  const files: string[] = [];
  for (const line of contents("/proc/self/cgroup").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined || controllers === undefined) continue;
    if (controllers !== "" && !controllers.split(",").includes("cpu")) continue;
    const [root, file] = controllers === "" ? ["/sys/fs/cgroup", "cpu.max"] : ["/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"];
    const names = path.split("/").filter(Boolean);
    for (let depth = 0; depth <= names.length; depth++) files.push([root, ...names.slice(0, depth), file].join("/"));
  }
  return files;
}

function contents(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
