/** @file `bench kernels`: every rung of every expensive shape, validated, timed, and held against naive and the ceiling. */
import type { Device } from "../engine/index.ts";
import { arithmeticPeak, type Ceiling, measureCeiling } from "./ceiling.ts";
import { checkCase, makeInputs, rotate } from "./inputs.ts";
import { type BenchCase, plain } from "./operations.ts";
import { gpuMillis, type Spread, spread } from "./timing.ts";

export interface KernelRow {
  readonly name: string;
  readonly rung: string;
  /** GPU milliseconds. */
  readonly ms: Spread;
  readonly gflops: number;
  /** GB/s if each input were read and each output written once. */
  readonly gbs: number;
  /** Time of the naive rung over this one's, where naive was run. */
  readonly timesNaive: number | undefined;
  /** The same for a plain 4x4 register tile (software adapters only). */
  readonly timesPlainTile: number | undefined;
  /** Share of the FMA ceiling (of the copy ceiling for norms). */
  readonly ofCeiling: number;
  /** Largest error of the sampled outputs, relative to the largest. */
  readonly error: number;
}

export interface KernelReport {
  readonly ceiling: Ceiling;
  readonly rows: readonly KernelRow[];
}

/** Naive runs of more FLOP than this are left out on software adapters: they would take minutes. */
const naiveLimit = 4e9;

export async function benchKernels(
  device: Device,
  cases: readonly BenchCase[],
  rungs: "all" | "best",
  log: (line: string) => void,
): Promise<KernelReport> {
  const ceiling = await measureCeiling(device);
  log(describeCeiling(ceiling));
  const rows: KernelRow[] = [];
  for (const benchCase of cases) {
    for (const row of await benchCaseRungs(device, benchCase, rungs, ceiling, log)) {
      rows.push(row);
      log(describeRow(row));
    }
  }
  return { ceiling, rows };
}

/** A case on its rungs: a row each, the slowest rung first. Throws where a rung is wrong. */
export async function benchCaseRungs(
  device: Device,
  benchCase: BenchCase,
  rungs: "all" | "best",
  ceiling: Ceiling,
  log: (line: string) => void,
): Promise<KernelRow[]> {
  const names = rungs === "best" ? ["best"] : benchCase.rungs(device);
  const rotation = rotate(device, benchCase);
  const rows: KernelRow[] = [];
  let naive: number | undefined;
  let tile: number | undefined;
  try {
    const values = await Promise.all(rotation.inputs.map((tensor) => tensor.read()));
    for (const rung of names) {
      if (rung === "naive" && device.isSoftware && benchCase.flop > naiveLimit) {
        log(`${benchCase.name} naive: passed over, ${(benchCase.flop / 1e9).toFixed(0)} GFLOP on a software adapter`);
        continue;
      }
      const output = device.scope(() => benchCase.run(rotation.inputs, rung));
      const error = await checkCase(benchCase, values, output);
      output.free();
      if (!(error <= (device.storage === "f16" ? 1e-2 : 1e-4)))
        throw new Error(`${benchCase.name} ${rung}: wrong by ${error} of its largest value`);
      const ms = await gpuMillis(device, (run) => rotation.run(run, rung), rungs === "all" && rung === "naive" ? 2 : 5);
      if (rung === "naive") naive = ms.median;
      if (rung === plain) tile = ms.median;
      rows.push({ ...rowOf(device, ceiling, benchCase, rung, ms, naive, error), timesPlainTile: tile && tile / ms.median });
    }
  } finally {
    rotation.free();
    device.trim();
  }
  return rows;
}

export function describeCeiling({ f32, f16, matrix, copy }: Ceiling): string {
  const rate = (gflops: number | undefined): string => gflops?.toFixed(1) ?? "none";
  return `ceiling: f32 ${rate(f32)} GFLOP/s, f16 ${rate(f16)}, matrices ${rate(matrix)}, copy ${copy.toFixed(1)} GB/s`;
}

/** Bound by memory: held against the copy rate. */
export function isNorm({ operation }: BenchCase): boolean {
  return operation === "groupNorm" || operation === "layerNorm";
}

function rowOf(
  device: Device,
  ceiling: Ceiling,
  benchCase: BenchCase,
  rung: string,
  ms: Spread,
  naive: number | undefined,
  error: number,
): Omit<KernelRow, "timesPlainTile"> {
  const gflops = benchCase.flop / ms.median / 1e6;
  const gbs = (benchCase.elements * (device.storage === "f16" ? 2 : 4)) / ms.median / 1e6;
  const peak = arithmeticPeak(device, ceiling);
  return {
    name: benchCase.name,
    rung,
    ms,
    gflops,
    gbs,
    timesNaive: naive && naive / ms.median,
    ofCeiling: isNorm(benchCase) ? gbs / ceiling.copy : gflops / peak,
    error,
  };
}

function describeRow({ name, rung, ms, gflops, gbs, timesNaive, timesPlainTile, ofCeiling, error }: KernelRow): string {
  const ratios = [
    timesNaive === undefined ? "" : `${timesNaive.toFixed(1)}x naive`,
    timesPlainTile === undefined ? "" : `${timesPlainTile.toFixed(1)}x plain tile`,
  ];
  return [
    name.padEnd(28),
    rung.padEnd(10),
    `${ms.median.toFixed(2).padStart(9)} ms (${ms.p10.toFixed(2)}..${ms.p90.toFixed(2)})`.padEnd(34),
    `${gflops.toFixed(1).padStart(8)} GFLOP/s`,
    `${gbs.toFixed(1).padStart(7)} GB/s`,
    `${(100 * ofCeiling).toFixed(0).padStart(3)} %`,
    ratios.filter(Boolean).join(", ").padStart(30),
    `error ${error.toExponential(0)}`,
  ].join("  ");
}

export interface PeerRow {
  readonly name: string;
  /** Wall clock with upload of the inputs and read-back of the output, as the peer is timed: the median of four warm runs. */
  readonly ms: number;
  readonly gpuMs: number;
}

/** The shapes of ../shared/peers, timed as that peer times itself. */
export async function benchPeerShapes(
  device: Device,
  cases: readonly BenchCase[],
  log: (line: string) => void,
): Promise<PeerRow[]> {
  const rows: PeerRow[] = [];
  for (const benchCase of cases) {
    const made = makeInputs(device, benchCase, 1);
    const values = await Promise.all(made.map((tensor) => tensor.read()));
    for (const tensor of made) tensor.free();
    device.trim();
    // Memory that was first written from the host, as the peer's is: on llvmpipe later uploads into it are quicker.
    const tensors = made.map(({ shape, dtype }, i) => device.upload(values[i]!, shape, dtype));
    const checked = benchCase.run(tensors, "best");
    const error = await checkCase(benchCase, values, checked);
    checked.free();
    if (!(error <= 1e-4)) throw new Error(`${benchCase.name}: wrong by ${error} of its largest value`);
    const { median: gpuMs } = await gpuMillis(device, () => device.scope(() => void benchCase.run(tensors, "best")), 3, 300);
    const walls: number[] = [];
    for (let run = 0; run < 5; run++) {
      const begin = performance.now();
      for (const [i, tensor] of tensors.entries()) device.write(tensor, values[i]!);
      const output = benchCase.run(tensors, "best");
      await output.read();
      walls.push(performance.now() - begin);
      output.free();
    }
    for (const tensor of tensors) tensor.free();
    rows.push({ name: benchCase.name, ms: spread(walls.slice(1)).median, gpuMs });
    log(`${benchCase.name.padEnd(28)} ${rows.at(-1)!.ms.toFixed(1).padStart(8)} ms, GPU ${gpuMs.toFixed(1)} ms`);
  }
  return rows;
}
