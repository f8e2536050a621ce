/** @file Ctrl-C and SIGTERM: the first asks the run to stop, the second leaves at once. */
import { exitCodes } from "./exit-codes.ts";

/**
 * How long a run may take to stop by itself. On a software adapter a step can take longer: then it is left, so that 5 s suffice, of which
 * the system takes some to give 7 GB of memory back (1.7 s were measured).
 */
const graceMillis = 2500;

export interface Interruption {
  readonly signal: AbortSignal;
  /** Exit code of the signal that came, undefined while none has. */
  readonly exitCode: () => number | undefined;
  /** From now on there is nothing to put in order: the first signal is obeyed at once. */
  readonly leaveAtOnce: () => void;
  /** From now on Ctrl-C is the handler's, until the function returned is called. SIGTERM still ends the run. */
  readonly takeInterrupts: (handler: () => void) => () => void;
}

/** Installs the handlers. Leaving runs the process's exit handlers, which remove unfinished files. */
export function watchSignals(): Interruption {
  const controller = new AbortController();
  let exitCode: number | undefined;
  let taken: (() => void) | undefined;
  let atOnce = false;
  const codes = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated } as const;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (name === "SIGINT" && taken) return taken();
      if (atOnce || exitCode !== undefined) process.exit(codes[name]);
      exitCode = codes[name];
      controller.abort();
      setTimeout(() => process.exit(codes[name]), graceMillis).unref();
    });
  }
  return {
    signal: controller.signal,
    exitCode: () => exitCode,
    leaveAtOnce() {
      atOnce = true;
    },
    takeInterrupts(handler) {
      taken = handler;
      return () => {
        taken = undefined;
      };
    },
  };
}
