/** @file The last step of work on the host: commands encoded into a buffer and given to the queue, and what that cost. */
import type { Profiler } from "./profiler.ts";
import { type Command, encodeCommands } from "./recorder.ts";
import type { SubmitCuts } from "./submit-cuts.ts";

/** Work done so far; the host's share of a step is read from differences of these. */
export interface DeviceCounters {
  dispatches: number;
  submits: number;
  /** Microseconds a dispatch that each of the last replays took to encode (submit excluded), newest last; of those encoded together their mean. */
  readonly replayMicros: number[];
  /**
   * Bind groups built in denoising steps from the third of a picture on, by its replays and by what a sampler launches between
   * them: none, or a step does work that belongs to setup.
   */
  bindGroupsBuiltInReplay: number;
}

/** Replays remembered: a picture's worth of steps. */
const remembered = 64;
/** Replays that lie ready, at most. */
const mostAhead = 64;

/** A replay: its commands, how they may be cut into submissions, and encodings of them that were made before. */
export interface Replay {
  readonly commands: readonly Command[];
  readonly cuts: SubmitCuts;
  readonly encoded: GPUCommandBuffer[];
}

export class Submitter {
  readonly counters: DeviceCounters = { dispatches: 0, submits: 0, replayMicros: [], bindGroupsBuiltInReplay: 0 };
  /** Set to time every dispatch; see profiler.ts. */
  profiler: Profiler | undefined;
  readonly #gpu: GPUDevice;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  submit(commands: readonly Command[]): void {
    if (this.profiler) this.#profile(this.profiler, commands);
    else this.#give(this.#encode(commands)[0]!);
  }

  replay({ commands, cuts, encoded }: Replay): void {
    if (this.profiler) {
      this.#profile(this.profiler, commands);
      return;
    }
    const ready = encoded.shift();
    if (ready) {
      this.#give(ready);
      return;
    }
    let millis = 0;
    cuts.run(commands.length, this.#gpu.queue, ({ begin, end }) => {
      const start = performance.now();
      const [buffer] = this.#encode(end - begin === commands.length ? commands : commands.slice(begin, end));
      millis += performance.now() - start;
      this.#give(buffer!);
    });
    this.#remember(millis, commands.length, 1);
  }

  /** Encodes a replay so often that `runs` of it lie ready; more that do are dropped. */
  encodeAhead({ commands, encoded }: Replay, runs: number): void {
    encoded.splice(runs);
    const missing = Math.min(runs, mostAhead) - encoded.length;
    if (this.profiler || missing <= 0) return;
    const start = performance.now();
    encoded.push(...this.#encode(commands, missing));
    this.#remember(performance.now() - start, commands.length, missing);
  }

  /**
   * What encoding a dispatch costs the host, in microseconds: the median of the last replays, 0 before the first. On a software
   * adapter the shaders run on the same cores, and the clock runs on while they take one away.
   */
  get hostMicrosPerDispatch(): number {
    const sorted = [...this.counters.replayMicros].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  }

  #profile(profiler: Profiler, commands: readonly Command[]): void {
    this.counters.submits++;
    profiler.run(commands);
  }

  #give(buffer: GPUCommandBuffer): void {
    this.counters.submits++;
    this.#gpu.queue.submit([buffer]);
  }

  #remember(millis: number, dispatches: number, replays: number): void {
    if (dispatches === 0) return;
    const { replayMicros } = this.counters;
    for (let i = 0; i < replays; i++) replayMicros.push((1000 * millis) / (replays * dispatches));
    replayMicros.splice(0, replayMicros.length - remembered);
  }

  #encode(commands: readonly Command[], times = 1): GPUCommandBuffer[] {
    const encoders = Array.from({ length: times }, () => this.#gpu.createCommandEncoder());
    encodeCommands(encoders, commands);
    return encoders.map((encoder) => encoder.finish());
  }
}
