/**
 * @file Waiting for the GPU without taking a core. Dawn's Node binding polls while a promise of its is pending: the event loop
 * spins, and on a software adapter it takes the core that the shaders should run on. A short sleep in every turn gives it back
 * (attention on two cores: 439 -> 211 ms). A turn itself costs about 0.1 ms, so the sleeps grow with the wait: a step of the embedded
 * model takes 3 to 9 % less with 3 ms than with 0.5. Browsers neither spin nor have setImmediate, so there nothing is done.
 */

const turn: ((next: () => void) => unknown) | undefined = Reflect.get(globalThis, "setImmediate");
/** Nobody ever wakes this cell: waiting on it is sleeping. */
const cell = typeof SharedArrayBuffer === "undefined" ? undefined : new Int32Array(new SharedArrayBuffer(4));
const shortestNap = 0.5;
/** Milliseconds that a signal, or a result, may lie unseen. */
const longestNap = 4;
/** A nap's share of the wait so far. */
const share = 1 / 8;

let waiting = 0;
let napping = false;
/** When the newest wait began: while they come often, the host has other things to do and must not sleep over them. */
let since = 0;

/** As `await promise`, for a promise of the GPU's. */
export async function waitFor<T>(promise: Promise<T>): Promise<T> {
  waiting++;
  since = performance.now();
  if (!napping && turn && cell) nap(turn, cell);
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

function nap(turn: (next: () => void) => unknown, cell: Int32Array<SharedArrayBuffer>): void {
  napping = true;
  const step = (): void => {
    if (waiting === 0) {
      napping = false;
      return;
    }
    Atomics.wait(cell, 0, 0, Math.min(Math.max(shortestNap, share * (performance.now() - since)), longestNap));
    turn(step);
  };
  turn(step);
}
