/**
 * @file A thread that does nothing, so that the core it runs on doesn't halt: started by keep-awake.ts with the cells that count what is
 * awaited of the GPU. It turns only while something is, and gives way to every other thread of the system.
 */
import { spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { workerData } from "node:worker_threads";

const waits = workerData as Int32Array<SharedArrayBuffer>;

giveWay();
for (;;) {
  Atomics.wait(waits, 0, 0);
  turn();
}

/** Square roots that wait for each other: next to nothing is taken from whoever shares the core. */
function turn(): number {
  let x = 2;
  while (Atomics.load(waits, 0) > 0) for (let i = 0; i < 64; i++) x = Math.sqrt(x + 1);
  return x;
}

/** Linux keeps priorities by thread. A thread of the idle class leaves its core at once; a nice one holds it for a slice. */
function giveWay(): void {
  const thread = readlinkSync("/proc/thread-self").split("/").at(-1)!;
  const { status } = spawnSync("chrt", ["--idle", "--pid", "0", thread], { stdio: "ignore", timeout: 1000 });
  if (status !== 0) setPriority(19); // no chrt
}
