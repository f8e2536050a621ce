/** @file Several runs of `bench load`, each in a process of its own, and what they say together. */
import { spawnSync } from "node:child_process";
import { type LoadRun, total } from "./load.ts";
import type { CopyTimes } from "./read-and-copy.ts";

export interface LoadReport {
  readonly fileBytes: number;
  readonly weightBytes: number;
  /** Seconds, of the quickest run. */
  readonly readAndCopy: CopyTimes;
  readonly load: number;
  /** The load's time over that of reading the file and copying it into memory of the weights' size; and over that without `widen`. */
  readonly ratio: number;
  readonly ratioToFileSize: number;
  /** The most of all runs. */
  readonly jsHeapBytes: number;
  readonly jsExternalBytes: number;
  readonly gpuBytes: number;
  readonly runs: readonly LoadRun[];
}

/** Runs this very command `count` times with `--once`. */
export function repeatLoad(count: number, log: (line: string) => void): LoadReport {
  const runs = Array.from({ length: count }, () => {
    const run = inProcess();
    const { read, copy, widen } = run.readAndCopy;
    const parts = [`read ${shown(read)}`, `copied ${shown(copy)}`, ...(widen > 0 ? [`widened ${shown(widen)}`] : [])];
    const ratio = (run.load / total(run.readAndCopy)).toFixed(2);
    log(`${parts.join(", ")}; loaded ${shown(run.load)} (${shown(run.loadCpu)} of processor time): ${ratio}`);
    return run;
  });
  return reportOf(runs);
}

export function reportOf(runs: readonly LoadRun[]): LoadReport {
  const least = (value: (run: LoadRun) => number) => Math.min(...runs.map(value));
  const most = (value: (run: LoadRun) => number) => Math.max(...runs.map(value));
  const copies = runs.map((run) => run.readAndCopy).sort((a, b) => total(a) - total(b));
  const [readAndCopy = { read: 0, copy: 0, widen: 0 }] = copies;
  const load = least((run) => run.load);
  return {
    fileBytes: runs[0]?.fileBytes ?? 0,
    weightBytes: runs[0]?.weightBytes ?? 0,
    readAndCopy,
    load,
    ratio: load / total(readAndCopy),
    ratioToFileSize: load / (readAndCopy.read + readAndCopy.copy),
    jsHeapBytes: most((run) => run.jsHeapBytes),
    jsExternalBytes: most((run) => run.jsExternalBytes),
    gpuBytes: most((run) => run.gpuBytes),
    runs,
  };
}

function inProcess(): LoadRun {
  const [script = "", ...args] = process.argv.slice(1);
  const options = args.filter((arg) => arg !== "--json");
  const command = [...process.execArgv, script, ...options, "--once", "--json"];
  const { stdout, status } = spawnSync(process.execPath, command, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (status !== 0) throw new Error(`a run ended with ${status}`);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as LoadRun;
}

const shown = (seconds: number): string => `${seconds.toFixed(2)} s`;
