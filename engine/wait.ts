/**
 * @file Waiting for the GPU without taking a core. Dawn's Node binding polls while a promise of its is pending: the event loop
 * spins, and on a software adapter it takes the core that the shaders should run on. A short sleep in every turn gives it back
 * (attention on two cores: 439 -> 211 ms). Browsers neither spin nor have setImmediate, so there nothing is done.
 */

const turn: ((next: () => void) => unknown) | undefined = Reflect.get(globalThis, "setImmediate");
/** Nobody ever wakes this cell: waiting on it is sleeping. */
const cell = typeof SharedArrayBuffer === "undefined" ? undefined : new Int32Array(new SharedArrayBuffer(4));
const napMillis = 0.5;

let waiting = 0;
let napping = false;

/** As `await promise`, for a promise of the GPU's. */
export async function waitFor<T>(promise: Promise<T>): Promise<T> {
  waiting++;
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
    Atomics.wait(cell, 0, 0, napMillis);
    turn(step);
  };
  turn(step);
}
