/** @file The last step of work on the host: commands encoded into a buffer and given to the queue, and what that cost. */
import type { Profiler } from "./profiler.ts";
import { type Command, encodeCommands } from "./recorder.ts";

/** Work done so far; the host's share of a step is read from differences of these. */
export interface DeviceCounters {
  dispatches: number;
  submits: number;
  /** Microseconds a dispatch that each of the last replays took to encode (submit excluded), newest last. */
  readonly replayMicros: number[];
  /**
   * Bind groups built in denoising steps from the third of a picture on, by its replays and by what a sampler launches between
   * them: none, or a step does work that belongs to setup.
   */
  bindGroupsBuiltInReplay: number;
}

/** Replays remembered: a picture's worth of steps. */
const remembered = 64;

export class Submitter {
  readonly counters: DeviceCounters = { dispatches: 0, submits: 0, replayMicros: [], bindGroupsBuiltInReplay: 0 };
  /** Set to time every dispatch; see profiler.ts. */
  profiler: Profiler | undefined;
  readonly #gpu: GPUDevice;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  submit(commands: readonly Command[], replay = false): void {
    this.counters.submits++;
    if (this.profiler) {
      this.profiler.run(commands);
      return;
    }
    const start = performance.now();
    const encoder = this.#gpu.createCommandEncoder();
    encodeCommands(encoder, commands);
    const buffer = encoder.finish();
    if (replay) this.#remember((1000 * (performance.now() - start)) / commands.length);
    this.#gpu.queue.submit([buffer]);
  }

  /**
   * What encoding a dispatch costs the host, in microseconds: the median of the last replays, 0 before the first. On a software
   * adapter the shaders run on the same cores, and the clock runs on while they take one away.
   */
  get hostMicrosPerDispatch(): number {
    const sorted = [...this.counters.replayMicros].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  }

  #remember(micros: number): void {
    this.counters.replayMicros.push(micros);
    if (this.counters.replayMicros.length > remembered) this.counters.replayMicros.shift();
  }
}
