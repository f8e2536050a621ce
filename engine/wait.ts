/**
 * @file Waiting for the GPU without taking a core. Dawn's Node binding polls while a promise of its is pending: the event loop
 * spins, and on a software adapter it takes the core that the shaders should run on. A short sleep in every turn gives it back
 * (attention on two cores: 439 -> 211 ms). A turn itself costs about 0.1 ms, so the sleeps grow with the wait: a step of the embedded
 * model takes 3 to 9 % less with 3 ms than with 0.5. Browsers neither spin nor have setImmediate, so there nothing is done.
 */

const turn: ((next: () => void) => unknown) | undefined = Reflect.get(globalThis, "setImmediate");
/**
 * [0]: how many promises of the GPU's are awaited, for threads that follow it; undefined where no memory can be shared. Nobody ever
 * changes or wakes [1]: waiting on it is sleeping.
 */
export const gpuWaits = typeof SharedArrayBuffer === "undefined" ? undefined : new Int32Array(new SharedArrayBuffer(8));
const shortestNap = 0.5;
/** Milliseconds that a signal, or a result, may lie unseen. */
const longestNap = 8;
/** A nap's share of the wait so far. */
const share = 1 / 8;

let waiting = 0;
let napping = false;
/** When the newest wait began: while they come often, the host has other things to do and must not sleep over them. */
let since = 0;

/** As `await promise`, for a promise of the GPU's. */
export async function waitFor<T>(promise: Promise<T>): Promise<T> {
  count(1);
  since = performance.now();
  if (!napping && turn && gpuWaits) nap(turn, gpuWaits);
  try {
    return await promise;
  } finally {
    count(-1);
  }
}

function count(change: 1 | -1): void {
  waiting += change;
  if (!gpuWaits) return;
  Atomics.store(gpuWaits, 0, waiting);
  if (waiting === 1 && change === 1) Atomics.notify(gpuWaits, 0);
}

function nap(turn: (next: () => void) => unknown, cells: Int32Array<SharedArrayBuffer>): void {
  napping = true;
  const step = (): void => {
    if (waiting === 0) {
      napping = false;
      return;
    }
    Atomics.wait(cells, 1, 0, Math.min(Math.max(shortestNap, share * (performance.now() - since)), longestNap));
    turn(step);
  };
  turn(step);
}
