/** @file What a run is doing, on stderr: one line that is rewritten on a terminal, plain lines elsewhere: about one a second, and a last one for each stage. */
import { oneLine } from "./error-text.ts";

export interface ProgressOptions {
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/** Plain lines come at most this often. */
const plainMillis = 1000;

/** The first steps of a stage say nothing of the rate: one compiles pipelines, and the host is two ahead of the GPU (model/picture/run-sampler.ts). */
const unmeasuredSteps = 3;

export class Progress {
  readonly #quiet: boolean;
  readonly #verbose: boolean;
  readonly #terminal = process.stderr.isTTY === true;
  #lineOpen = false;
  #stage = "";
  /** Monotonic: a clock that is set while we run must not show. */
  #stageStart = performance.now();
  /** Steps of the stage that were told of, and from which one on they are measured. */
  #steps = 0;
  #measured = { step: 0, since: 0 };
  #lastPlain = 0;
  /** The stage's last plain line is there. */
  #told = false;

  constructor({ quiet, verbose }: ProgressOptions) {
    this.#quiet = quiet;
    this.#verbose = verbose;
  }

  /** Nothing but warnings is shown. */
  get quiet(): boolean {
    return this.#quiet;
  }

  /** Since the stage began. */
  get secondsOfStage(): number {
    return (performance.now() - this.#stageStart) / 1000;
  }

  /** A stage begins: "load", "denoise". */
  stage(name: string): void {
    this.#stage = name;
    this.#stageStart = performance.now();
    this.#lastPlain = this.#stageStart;
    this.#told = false;
    this.#steps = 0;
    if (this.#terminal) this.#show(name);
  }

  /** `done` of `total` steps of the stage are over. */
  step(done: number, total: number): void {
    const now = performance.now();
    this.#steps++;
    if (this.#steps <= unmeasuredSteps) this.#measured = { step: done, since: now };
    const { step, since } = this.#measured;
    const rate = done > step ? ((done - step) / (now - since)) * 1000 : undefined;
    if (this.#terminal) {
      const bar = "#".repeat(Math.round((20 * done) / total)).padEnd(20, "-");
      this.#show(`${this.#stage} [${bar}] ${describeStep(done, total, rate)}`);
    } else this.#plain(describeStep(done, total, rate), done >= total);
  }

  /** `bytes` of `totalBytes` of a file are read. */
  read({
    bytes,
    totalBytes,
    bytesPerSecond,
  }: {
    readonly bytes: number;
    readonly totalBytes: number;
    readonly bytesPerSecond: number;
  }): void {
    const described = describeRead(bytes, totalBytes, bytesPerSecond);
    if (this.#terminal) {
      const bar = "#".repeat(Math.round((20 * bytes) / totalBytes)).padEnd(20, "-");
      this.#show(`${this.#stage} [${bar}] ${described}`);
    } else this.#plain(described, bytes >= totalBytes);
  }

  /** The stage is over; `summary` stays on the screen with the time it took: `seconds`, where someone knows better than the wall clock. */
  end(summary = "", seconds = this.secondsOfStage): void {
    const line = `${this.#stage} ${seconds.toFixed(2)} s`;
    if (this.#terminal) this.#show("");
    if (this.#verbose) this.note(`${line}${summary ? `, ${summary}` : ""}`);
    else if (!this.#terminal && !this.#told) this.#show(line);
  }

  /** A line that the user should see, also with --quiet: a warning. */
  warn(text: string): void {
    this.#clear();
    process.stderr.write(`warning: ${oneLine(text)}\n`);
  }

  /** A line that is nice to know. */
  note(text: string): void {
    if (this.#quiet) return;
    this.#clear();
    process.stderr.write(`${oneLine(text)}\n`);
  }

  /** Leaves no half line behind; call before anything else writes to the terminal. */
  clear(): void {
    this.#clear();
  }

  /** A line of its own, unless there was one just now. */
  #plain(text: string, last: boolean): void {
    const now = performance.now();
    if (last ? this.#told : now - this.#lastPlain < plainMillis) return;
    this.#lastPlain = now;
    this.#told ||= last;
    this.#show(`${this.#stage} ${text}`);
  }

  #show(text: string): void {
    if (this.#quiet) return;
    if (!this.#terminal) {
      process.stderr.write(`${text}\n`);
      return;
    }
    const width = (process.stderr.columns || 80) - 1; // 0 where the terminal does not know
    this.#clear();
    process.stderr.write(text.slice(0, width));
    this.#lineOpen = text !== "";
  }

  #clear(): void {
    if (this.#lineOpen) process.stderr.write("\r\u001b[K");
    this.#lineOpen = false;
  }
}

/** "7/20, 3.1 steps/s, 4 s left"; of the last one "20/20, 3.1 steps/s", and without a rate "1/20" */
export function describeStep(done: number, total: number, rate: number | undefined): string {
  if (rate === undefined) return `${done}/${total}`;
  const speed = rate >= 1 ? `${rate.toFixed(1)} steps/s` : `${(1 / rate).toFixed(1)} s/step`;
  return `${done}/${total}, ${speed}${done < total ? `, ${describeSeconds((total - done) / rate)} left` : ""}`;
}

/** "1.2 of 4.3 GB, 850 MB/s, 4 s left" */
export function describeRead(bytes: number, totalBytes: number, bytesPerSecond: number): string {
  const [unit, name] = totalBytes >= 1e9 ? [1e9, "GB"] : [1e6, "MB"];
  const digits = unit === 1e9 ? 1 : 0;
  const left = (totalBytes - bytes) / bytesPerSecond;
  const size = `${(bytes / unit).toFixed(digits)} of ${(totalBytes / unit).toFixed(digits)} ${name}`;
  return `${size}, ${(bytesPerSecond / 1e6).toFixed(0)} MB/s, ${describeSeconds(left)} left`;
}

/** "4 s", "2 min 5 s", "1 h 3 min" */
export function describeSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
