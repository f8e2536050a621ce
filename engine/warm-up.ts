/**
 * @file Machine code before it is needed. A driver that runs shaders on the CPU (llvmpipe) makes a pipeline's machine code at its first
 * dispatch, on the one thread of the queue: four seconds for the pipelines of a picture, unless they lie in the driver's cache on
 * disk. Here they are made while weights load; and if the cache is empty, on two cores: a second device makes some of them, and
 * this one finds those on disk.
 */
import type { KernelDefinition, Variant } from "./kernel.ts";
import { waitFor } from "./wait.ts";

/** A pipeline, by what it is made of. */
export interface WarmUpJob {
  readonly kernel: KernelDefinition;
  readonly variant: Variant;
}

/** A device, as far as it makes machine code. */
export interface Warmer {
  /** Resolves when the driver has the machine code, made now or before. */
  warm(job: WarmUpJob): Promise<void>;
  close(): void;
}

/** Milliseconds in which the driver finds a pipeline in its cache (1 to 20), but does not compile a long one (500 to 2,000). */
const cachedMillis = 150;

export class WarmUp {
  readonly #main: Pick<Warmer, "warm">;
  readonly #openHelper: () => Promise<Warmer | undefined>;
  /** By the promise of their compilation, which is one for all launches of a pipeline. */
  readonly #known = new WeakSet<Promise<void>>();
  readonly #compiling: Promise<void>[] = [];
  readonly #jobs: WarmUpJob[] = [];
  /** What the helper has made. */
  readonly #made: WarmUpJob[] = [];
  #running: Promise<void> | undefined;
  #helper: Warmer | undefined;
  #hasCache = true;
  #stopped = false;
  #closed = false;

  /** `openHelper`: opens another device of the same driver; undefined where there is none. */
  constructor(main: Pick<Warmer, "warm">, openHelper: () => Promise<Warmer | undefined>) {
    this.#main = main;
    this.#openHelper = openHelper;
  }

  /** Takes a pipeline of the main device; `compiled` resolves when it is there. */
  add(job: WarmUpJob, compiled: Promise<void>): void {
    if (this.#closed || this.#known.has(compiled)) return;
    this.#known.add(compiled);
    this.#compiling.push(
      compiled.then(
        () => void this.#jobs.push(job),
        () => {},
      ),
    );
    // Whatever fails here is done again, and reported, where the pipeline is used.
    this.#running ??= this.#run()
      .catch(() => {})
      .finally(() => {
        for (const list of [this.#compiling, this.#jobs, this.#made]) list.length = 0;
        this.#stopped = false;
        this.#running = undefined;
      });
  }

  /** Resolves when all that was added is made, or given up. */
  async done(): Promise<void> {
    if (this.#running) await waitFor(this.#running);
  }

  /** Gives up what has not begun. What has goes on: a process that ends under llvmpipe's compiler crashes, so await `done`. */
  stop(): void {
    this.#stopped = this.#running !== undefined;
  }

  close(): void {
    this.#closed = true;
    this.stop();
    this.#helper?.close(); // which waits for it
  }

  async #run(): Promise<void> {
    while (this.#compiling.length > 0) {
      // All of them first: the driver makes no pipeline while its queue makes machine code.
      while (this.#compiling.length > 0) await Promise.all(this.#compiling.splice(0));
      // The longest come first, so that two devices end at the same time; they take longest, roughly.
      if (this.#stopped) return;
      this.#jobs.sort((a, b) => moduleLength(b) - moduleLength(a));
      await this.#share();
    }
  }

  async #share(): Promise<void> {
    const longest = this.#jobs.shift();
    if (!longest) return;
    let helping: Promise<void> | undefined;
    const timer = setTimeout(() => {
      helping = this.#help().catch(() => {});
    }, cachedMillis);
    await this.#main.warm(longest).finally(() => clearTimeout(timer));
    if (!helping) this.#jobs.length = 0; // the cache is filled: there they are found when they are needed
    await this.#warmOnMain();
    await helping;
    await this.#warmOnMain();
  }

  async #warmOnMain(): Promise<void> {
    while (!this.#stopped) {
      const made = this.#made.shift();
      const job = made ?? this.#jobs.shift();
      if (!job) return;
      const start = performance.now();
      await this.#main.warm(job);
      // It was made a second time.
      if (made && performance.now() - start > cachedMillis) this.#hasCache = false;
    }
  }

  async #help(): Promise<void> {
    if (!this.#hasCache || this.#jobs.length === 0) return;
    const helper = await this.#openHelper();
    if (!helper) return;
    this.#helper = helper;
    try {
      while (this.#hasCache && !this.#stopped) {
        const job = this.#jobs.shift();
        if (!job) return;
        await helper.warm(job);
        this.#made.push(job);
      }
    } finally {
      this.#helper = undefined;
      helper.close();
    }
  }
}

function moduleLength({ kernel, variant }: WarmUpJob): number {
  return kernel.module(variant).length;
}
