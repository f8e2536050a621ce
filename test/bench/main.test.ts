import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** `bench ARGUMENTS`, from the sources. */
function bench(...args: string[]) {
  return spawnSync(process.execPath, ["--import", "tsx", "bench/main.ts", ...args], { cwd: root, encoding: "utf8" });
}

it.each([
  [["--peak", "0"], /'--peak <tflops>'.*above 0/],
  [["--goals", "h300"], /Allowed choices are h200, h100, none/],
  [["--peer-device", "tpu"], /Allowed choices are cuda, cpu/],
])("bench gpu refuses %j before it measures anything", (args, message) => {
  const { status, stdout, stderr } = bench("gpu", ...args);
  expect(stderr).toMatch(message);
  expect([status, stdout]).toEqual([1, ""]);
});
