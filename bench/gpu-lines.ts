/** @file What `bench gpu` prints: a line for each step and kernel, with its goal and PyTorch's time. */
import type { GpuKernel, GpuReport, GpuStep } from "./gpu-report.ts";
import type { Spread } from "./timing.ts";

/** Rate and goal of a step, and the kernels that take most of it. */
export function describeGpuStep(step: GpuStep): string[] {
  const { tier, precision, stepsPerSecond, goal, dispatches, hostMicrosPerDispatch, ofFloors, rows, profiledMs } = step;
  const [whole, ...kernels] = rows;
  const { median, p10, p90 } = whole!.ms as Spread;
  const most = kernels
    .slice(0, 5)
    .map(
      ({ name, ms, gflops }) =>
        `${name} ${percent(Number(ms) / profiledMs)}${gflops > 0 ? ` (${teraflops(gflops)} TFLOP/s)` : ""}`,
    );
  return [
    `${tier}, ${precision}: ${stepsPerSecond.toFixed(2)} steps/s${verdict(stepsPerSecond, goal, (rate) => rate.toFixed(1))}; ` +
      `${median.toFixed(2)} ms (${p10.toFixed(2)}..${p90.toFixed(2)}), ${teraflops(whole!.gflops)} TFLOP/s`,
    `  ${dispatches} dispatches, ${profiledMs.toFixed(2)} ms in them, host ${hostMicrosPerDispatch.toFixed(1)} us each; floors ${percent(ofFloors)}`,
    `  most time: ${most.join(", ")}`,
  ];
}

export const kernelTitle = [
  "shape".padEnd(28),
  "ms".padStart(9),
  "TFLOP/s".padStart(11),
  "GB/s".padStart(8),
  "share".padStart(8),
  "PyTorch ms".padStart(11),
  "limn/PyTorch".padStart(13),
  "  goal",
].join("");

export function describeKernel({ name, ms, gflops, gbs, share, goal, torchMs }: GpuKernel): string {
  return [
    name.padEnd(28),
    ms.median.toFixed(3).padStart(9),
    teraflops(gflops).padStart(11),
    figure(gbs).padStart(8),
    percent(share).padStart(8),
    (torchMs?.toFixed(3) ?? "-").padStart(11),
    (torchMs === undefined ? "-" : (ms.median / torchMs).toFixed(2)).padStart(13),
    verdict(share, goal, percent).replace(", goal ", "  "),
  ].join("");
}

/** How many goals were met, which were not, and what failed. */
export function describeGoals({ asked, without, failures }: Pick<GpuReport, "asked" | "without" | "failures">): string[] {
  const missed = asked.filter(({ value, goal }) => value === undefined || !(value >= goal)).map(({ name }) => name);
  return [
    "",
    asked.length === 0 ? "no goals for this adapter and size" : `goals: ${asked.length - missed.length} of ${asked.length} met`,
    ...(missed.length > 0 ? [`not met: ${missed.join("; ")}`] : []),
    ...without.map(({ tier }) => `not there: tier ${tier}`),
    ...failures.map((failure) => `failed: ${failure}`),
  ];
}

function verdict(value: number, goal: number | undefined, show: (value: number) => string): string {
  return goal === undefined ? "" : `, goal ${show(goal)}: ${value >= goal ? "met" : "NOT MET"}`;
}

function teraflops(gflops: number): string {
  return figure(gflops / 1000);
}

/** Three digits. */
function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "?";
}
