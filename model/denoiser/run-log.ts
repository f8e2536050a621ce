/**
 * @file What the denoiser said in a run, kept by the CPU. When a device is lost the run is begun again on another one and told the
 * same up to where it was: no model call is made twice, and whatever the sampler the picture is the same.
 */
import type { Tensor } from "../../engine/index.ts";
import type { BothDenoised, Denoiser, NoiseLevel } from "../sampling/index.ts";

/** Bytes kept at most: a run that says more is begun anew from there. */
const mostBytes = 64 * 1024 * 1024;

/** The results of one call, each latent-shaped. */
type Said = readonly Float32Array[];

/** Given to `generate`, and again to the `generate` that is to go on. Both must ask for the same picture. */
export class RunLog {
  /** By pass: a hires picture has two. */
  readonly #passes = new Map<number, Said[]>();
  #bytes = 0;

  /** Calls that need not be made again, all passes together. */
  get calls(): number {
    return [...this.#passes.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** Calls of a pass, in order from its first. */
  of(pass: number): readonly Said[] {
    return this.#passes.get(pass) ?? [];
  }

  /** Only the call after the last one known can be added: what follows a gap is of no use. */
  add(pass: number, call: number, said: Said): void {
    const known = this.#passes.get(pass) ?? [];
    if (call !== known.length || this.#bytes > mostBytes) return;
    known.push(said);
    this.#passes.set(pass, known);
    this.#bytes += said.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Forgets a pass that is run again in another way. */
  forget(pass: number): void {
    this.#passes.delete(pass);
  }
}

export interface LoggedOptions {
  readonly log: RunLog;
  readonly pass: number;
  /** A latent on the device; the caller's. */
  readonly upload: (values: Float32Array) => Tensor;
  /** The first call that is made: how many were before it. */
  readonly onFirst: (calls: number) => void;
}

/** A denoiser that repeats what the log knows, and asks the model for the rest. */
export class LoggedDenoiser implements Denoiser {
  readonly #inner: Denoiser;
  readonly #options: LoggedOptions;
  readonly #known: number;
  #call = 0;
  /** Of the last call, where the log gave it. */
  #repeated: readonly Tensor[] = [];

  constructor(inner: Denoiser, options: LoggedOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#known = options.log.of(options.pass).length;
  }

  async denoise(x: Tensor, sigma: number): Promise<Tensor> {
    return (await this.#ask(async () => [await this.#inner.denoise(x, sigma)]))[0]!;
  }

  async eps(x: Tensor, level: NoiseLevel): Promise<Tensor> {
    return (await this.#ask(async () => [await this.#inner.eps(x, level)]))[0]!;
  }

  async x0(x: Tensor, level: NoiseLevel): Promise<Tensor> {
    return (await this.#ask(async () => [await this.#inner.x0(x, level)]))[0]!;
  }

  async denoiseBoth(x: Tensor, sigma: number): Promise<BothDenoised> {
    const [guided, negative] = await this.#ask(async () => {
      const both = await this.#inner.denoiseBoth(x, sigma);
      return [both.guided, both.negative];
    });
    return { guided: guided!, negative: negative! };
  }

  /** Gives back what the last call repeated. */
  free(): void {
    for (const tensor of this.#repeated) tensor.free();
    this.#repeated = [];
  }

  async #ask(ask: () => Promise<Tensor[]>): Promise<readonly Tensor[]> {
    const { log, pass, upload, onFirst } = this.#options;
    const call = this.#call++;
    this.free();
    if (call < this.#known) {
      this.#repeated = log.of(pass)[call]!.map(upload);
      return this.#repeated;
    }
    if (call === this.#known && call > 0) onFirst(call);
    const results = await ask();
    // Read behind the work; where the device is lost first, the call is made again.
    void Promise.all(results.map((result) => result.read())).then(
      (said) => log.add(pass, call, said),
      () => {},
    );
    return results;
  }
}
