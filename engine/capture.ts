/**
 * @file Capture and replay. A denoising step does the same dispatches every time: it is recorded once, with every bind group
 * built, and later steps only encode it again. Inputs that change are written into tensors made before the capture.
 */
import type { Device } from "./device.ts";
import { LimnError } from "./errors.ts";
import type { KernelDefinition, Variant } from "./kernel.ts";
import type { Allocation } from "./pool.ts";
import { bindingOf, type Command, copyCommand } from "./recorder.ts";
import type { Grid } from "./shape.ts";
import { SubmitCuts } from "./submit-cuts.ts";
import type { Replay } from "./submitter.ts";
import type { Tensor } from "./tensor.ts";
import { UniformArena } from "./uniforms.ts";

export interface RecordedLaunch {
  readonly kernel: KernelDefinition;
  readonly variant: Variant;
  /** Bound tensors; their buffers are planned when the capture is built. */
  readonly tensors: readonly Tensor[];
  readonly uniforms: Readonly<Record<string, number>>;
  readonly grid: Grid;
}

export interface RecordedCopy {
  readonly source: Tensor;
  readonly target: Tensor;
}

export type Recorded = RecordedLaunch | RecordedCopy;

export class Capture<T> {
  readonly device: Device;
  /** What the captured function returned; its tensors keep their place until `dispose`. */
  readonly result: T;
  readonly #recorded: readonly Recorded[];
  readonly #kept: readonly Allocation[];
  readonly #onDispose: () => void;
  /** One tensor for each allocation that must live whenever this runs: what it was given, and its results. */
  readonly #lasting: readonly Tensor[];
  #replay: Replay | undefined;
  #uniforms: UniformArena | undefined;
  #disposed = false;

  constructor(device: Device, result: T, recorded: readonly Recorded[], kept: readonly Allocation[], onDispose: () => void) {
    this.device = device;
    this.result = result;
    this.#recorded = recorded;
    this.#kept = kept;
    this.#onDispose = onDispose;
    const tensors = recorded.flatMap((item) => ("kernel" in item ? item.tensors : [item.source, item.target]));
    const living = tensors.filter(({ allocation }) => !allocation.freed);
    this.#lasting = [...new Map(living.map((tensor) => [tensor.allocation, tensor])).values()];
    // Compilation goes on beside whatever the caller does next, such as streaming weights.
    for (const { kernel, variant } of this.launches) void device.prepare(kernel, variant).catch(() => {});
  }

  /** The dispatches of one run, in order. */
  get launches(): RecordedLaunch[] {
    return this.#recorded.filter((item): item is RecordedLaunch => "kernel" in item);
  }

  /** Resolves when every pipeline is compiled. Rejects with a ShaderError. */
  async compiled(): Promise<void> {
    await Promise.all(this.launches.map(({ kernel, variant }) => this.device.pipelines.compile(kernel, variant)));
  }

  /** The same, and every bind group is built, unless something that they bind has no memory yet. */
  async ready(): Promise<void> {
    await this.compiled();
    // Given up while its pipelines compiled: it must not take memory any more.
    const isComplete = this.launches.every(({ tensors }) => tensors.every(({ allocation }) => !allocation.parked));
    if (!this.#disposed && isComplete) this.#build();
    await this.device.warmUp?.done();
  }

  /**
   * Runs the recorded work once, after everything recorded on the device so far.
   * @throws LimnError USE_AFTER_FREE when disposed of, or when something that it uses has been freed; IN_CAPTURE
   */
  run(): void {
    this.#expectAlive();
    this.device.replay(this.#build());
  }

  /**
   * Says that `run` will be called so often. Where the shaders run on the host's own cores, all of these runs are encoded now, while
   * they rest: later they take turns with the host and empty its caches, and a dispatch costs it twice as much. What was encoded for
   * more runs is dropped.
   */
  expectRuns(runs: number): void {
    this.#expectAlive();
    if (this.device.isSoftware) this.device.submitter.encodeAhead(this.#build(), runs);
  }

  /** Whether it is bound to any of these. */
  binds(allocations: ReadonlySet<Allocation>): boolean {
    return this.#replay !== undefined && this.launches.some(({ tensors }) => tensors.some((t) => allocations.has(t.allocation)));
  }

  /** Forgets where its tensors lie, as they are to lie elsewhere at the next run. */
  unbind(): void {
    this.#replay = undefined;
    this.#uniforms?.buffer.destroy();
    this.#uniforms = undefined;
  }

  /** Gives back the memory of the results. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const allocation of this.#kept) allocation.release();
    this.unbind();
    this.#onDispose();
  }

  #expectAlive(): void {
    if (this.#disposed) throw new LimnError("USE_AFTER_FREE", "a capture was run after it had been disposed of");
    for (const tensor of this.#lasting) if (tensor.allocation.freed) tensor.buffer; // throws, with the tensor's name
  }

  #build(): Replay {
    if (this.#replay) return this.#replay;
    const { pipelines, bindGroups } = this.device;
    const arena = new UniformArena(this.device, this.launches.length);
    this.#uniforms = arena;
    const commands = this.#recorded.map((item): Command => {
      if (!("kernel" in item)) return copyCommand(item.source, item.target);
      const { kernel, variant, tensors, uniforms, grid } = item;
      const compiled = pipelines.compileNow(kernel, variant);
      return {
        kernel: compiled,
        bindGroup: bindGroups.build(compiled.layout, tensors.map(bindingOf), arena.push(kernel, uniforms)),
        x: grid[0],
        y: grid[1] ?? 1,
        z: grid[2] ?? 1,
      };
    });
    arena.upload();
    this.#replay = { commands, cuts: new SubmitCuts(this.device.submitMillis), encoded: [] };
    return this.#replay;
  }
}
