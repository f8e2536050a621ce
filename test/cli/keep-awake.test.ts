import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { fallAsleep, shareOfOthers } from "../../cli/gpu/keep-awake.ts";
import { gpuWaits, waitFor } from "../../engine/wait.ts";
import { skipped } from "../skip.ts";

const virtual = {
  platform: "linux",
  count: 2,
  cpuinfo: "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n",
  quotas: ["max 100000\n", "-1\n", ""],
};

describe("fallAsleep", () => {
  it("is true on the few cores of a virtual machine", () => {
    expect(fallAsleep(virtual)).toBe(true);
  });

  it.each([
    ["on a machine of its own", { cpuinfo: "flags\t\t: fpu vme lahf_lm\n" }],
    ["on a single core", { count: 1 }],
    ["on many cores", { count: 9 }],
    ["where processor time is rationed (version 2)", { quotas: ["max 100000\n", "150000 100000\n"] }],
    ["where processor time is rationed (version 1)", { quotas: ["50000\n"] }],
    ["on other systems", { platform: "darwin" }],
  ])("is false %s", (_, difference) => {
    expect(fallAsleep({ ...virtual, ...difference })).toBe(false);
  });
});

describe("shareOfOthers", () => {
  const before = { total: 1000, busy: 500, own: 100 };

  it.each([
    ["nobody else", { total: 1400, busy: 700, own: 300 }, 0],
    ["one of two cores", { total: 1400, busy: 900, own: 300 }, 0.5],
    ["less than the clock tells apart", { total: 1400, busy: 690, own: 300 }, 0],
    ["no time went by", before, 0],
  ])("%s", (_, after, share) => {
    expect(shareOfOthers(before, after)).toBe(share);
  });
});

it("what is awaited of the GPU is counted in shared memory", async () => {
  const waits = gpuWaits!;
  let settle = (): void => {};
  const both = [waitFor(new Promise<void>((resolve) => (settle = resolve))), waitFor(Promise.reject(new Error("lost")))];
  expect(waits[0]).toBe(2);
  await expect(both[1]).rejects.toThrow("lost");
  expect(waits[0]).toBe(1);
  settle();
  await both[0];
  expect(waits[0]).toBe(0);
});

const thread = fileURLToPath(new URL("../../dist/cli/gpu/awake-thread.js", import.meta.url));
const notHere =
  process.platform !== "linux" ? "only Linux has priorities of threads" : !existsSync(thread) && "dist/ is not built";

interface Thread {
  readonly id: string;
  /** R where it runs or would, S where it sleeps. */
  readonly state: string;
  readonly nice: number;
  /** 5: the idle class. */
  readonly policy: number;
}

function threads(): Thread[] {
  return readdirSync("/proc/self/task").map((id) => {
    const fields = readFileSync(`/proc/self/task/${id}/stat`, "utf8").split(") ").at(-1)!.split(" "); // from the third on
    return { id, state: fields[0]!, nice: Number(fields[16]), policy: Number(fields[38]) };
  });
}

it.skipIf(skipped("threads that keep cores awake", notHere))(
  "a thread turns while the GPU is awaited, and gives way",
  async () => {
    const before = new Set(threads().map(({ id }) => id));
    const cells = new Int32Array(new SharedArrayBuffer(8));
    const worker = new Worker(thread, { workerData: cells });
    const own = () => threads().filter((one) => !before.has(one.id) && (one.policy === 5 || one.nice === 19));
    try {
      await expect.poll(() => own().map(({ state }) => state), { timeout: 5000 }).toEqual(["S"]);
      cells[0] = 1;
      Atomics.notify(cells, 0);
      await expect.poll(() => own().map(({ state }) => state)).toEqual(["R"]);
      Atomics.store(cells, 0, 0);
      await expect.poll(() => own().map(({ state }) => state)).toEqual(["S"]);
    } finally {
      await worker.terminate(); // also out of its sleep
    }
    expect(own()).toEqual([]);
  },
);
