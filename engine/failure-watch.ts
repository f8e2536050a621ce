/**
 * @file What goes wrong with a device beside the call at hand: an error that nobody waited for, a lost device, a GPU that hangs.
 * The first such failure stands: nothing computed after it can be trusted.
 */
import { DeviceError, type ErrorContext, type LimnError, OutOfMemoryError, ShaderError } from "./errors.ts";
import { waitFor } from "./wait.ts";

export interface FailureWatchOptions {
  /** The adapter computes on the CPU. */
  readonly software: boolean;
  /** Seconds without a sign of life after which the GPU counts as hung, in the place of the defaults. */
  readonly patience?: number | undefined;
  /** Facts to put into an out-of-memory error. */
  readonly memory: () => ErrorContext;
}

/** Seconds. Drivers end work that hangs after 2 to 10 s; what they don't end has 30. */
const hardwarePatience = 30;
/** A CPU takes minutes for a large picture, so there it is many times the longest wait so far, and at least this. */
const softwarePatience = 600;
const softwareFactor = 20;
/** The clock is looked at so often within the patience: time that the process itself slept counts as one look. */
const looks = 10;

export class FailureWatch {
  /** The first failure. */
  failure: LimnError | undefined;
  readonly #options: FailureWatchOptions;
  /** How to end each wait under way. */
  readonly #waits = new Set<(reason: LimnError) => void>();
  /** Answers that have not come yet. */
  readonly #answers = new Set<Promise<void>>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #quietLooks = 0;
  #longestWait = 0;
  #closed = false;

  constructor(gpu: GPUDevice, options: FailureWatchOptions) {
    this.#options = options;
    gpu.addEventListener("uncapturederror", (event) => {
      // Dawn prints errors on stdout otherwise.
      event.preventDefault();
      this.#noteUncaptured((event as GPUUncapturedErrorEvent).error);
    });
    void gpu.lost.then(({ reason, message }) => this.#noteLoss(reason, message));
  }

  /** Takes a failure; only the first counts, but a refused shader is the cause of the validation errors that it brings. */
  report(failure: LimnError): void {
    if (!this.failure || (failure instanceof ShaderError && this.failure.code === "GPU_ERROR")) this.failure = failure;
  }

  check(): void {
    if (this.failure) throw this.failure;
  }

  /** Takes the driver's answer to a request that goes on without it. */
  expect(answer: Promise<LimnError | undefined>): void {
    const noted = answer.then((failure) => {
      this.#answers.delete(noted);
      if (failure) this.report(failure);
    });
    this.#answers.add(noted);
  }

  /** The failure if there is one, else `error`: a call may fail because of what is only reported a moment later. */
  async causeOf(error: unknown): Promise<unknown> {
    await Promise.all(this.#answers);
    if (!this.failure) await new Promise((resolve) => setTimeout(resolve, 0));
    return this.failure ?? error;
  }

  /** As `await promise`, for a promise that the GPU's progress resolves. Rejects when the device is lost or hangs. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    const start = performance.now();
    const ended = new Promise<never>((_, reject) => {
      if (this.#waits.size === 0) this.#startTimer();
      this.#waits.add(reject);
      const end = (): void => {
        this.#waits.delete(reject);
        this.#quietLooks = 0;
        if (this.#waits.size === 0) clearInterval(this.#timer);
      };
      promise.then(end, end);
    });
    const result = await waitFor(Promise.race([promise, ended]));
    this.#longestWait = Math.max(this.#longestWait, (performance.now() - start) / 1000);
    return result;
  }

  /** Forgets a failure that has been mended. False after any other. */
  forget(isMended: (failure: LimnError) => boolean): boolean {
    if (this.failure && !isMended(this.failure)) return false;
    this.failure = undefined;
    return true;
  }

  outOfMemory(message: string, cause?: unknown): OutOfMemoryError {
    return new OutOfMemoryError("GPU_OUT_OF_MEMORY", `the GPU has no memory left: ${message}`, {
      hint: "make a smaller picture, or close what else uses the GPU",
      context: this.#options.memory(),
      cause,
    });
  }

  /** The device is given up on purpose: its loss is no failure. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  #noteUncaptured(error: GPUError): void {
    const message = error.message.split("\n")[0] ?? "";
    // The classes are globals of a host environment, so the name decides.
    const memory = error.constructor.name === "GPUOutOfMemoryError" || /out of memory/i.test(message);
    this.report(
      memory
        ? this.outOfMemory(message)
        : new DeviceError("GPU_ERROR", `the GPU reported an error: ${message}`, {
            hint: "this is a bug of limn or of the driver; run with --debug and report it",
            context: { message: error.message },
          }),
    );
  }

  #noteLoss(reason: string, message: string): void {
    if (this.#closed) return;
    this.report(
      // Drivers that run out of memory in the middle of their work lose the device.
      /OUT_OF_(DEVICE|HOST)_MEMORY|out of memory/i.test(message)
        ? this.outOfMemory(message)
        : new DeviceError("DEVICE_LOST", `the GPU device was lost (${reason}): ${message}`, {
            hint: "run again; if it happens again, try a smaller size or `limn doctor`",
          }),
    );
    this.#endWaits();
  }

  #startTimer(): void {
    const { software, patience } = this.#options;
    const seconds = patience ?? (software ? Math.max(softwarePatience, softwareFactor * this.#longestWait) : hardwarePatience);
    this.#quietLooks = 0;
    this.#timer = setInterval(
      () => {
        if (++this.#quietLooks < looks) return;
        this.report(
          new DeviceError("DEVICE_HUNG", `the GPU has finished nothing for ${seconds} seconds`, {
            hint: "run again with a smaller size; if it happens again, update the graphics driver",
            context: { seconds },
          }),
        );
        this.#endWaits();
      },
      (1000 * seconds) / looks,
    );
  }

  #endWaits(): void {
    clearInterval(this.#timer);
    for (const end of this.#waits) end(this.failure!);
    this.#waits.clear();
  }
}
