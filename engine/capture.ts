/**
 * @file Capture and replay. A denoising step does the same dispatches every time: it is recorded once, with every bind group
 * built, and later steps only encode it again. Inputs that change are written into tensors made before the capture.
 */
import type { Device } from "./device.ts";
import type { KernelDefinition, Variant } from "./kernel.ts";
import type { Allocation } from "./pool.ts";
import {
  type Binding,
  type Command,
  type CopyCommand,
  isCopy,
  UniformArena,
  uniformAlignment,
  uniformBytes,
} from "./recorder.ts";
import type { Grid } from "./shape.ts";

interface RecordedLaunch {
  readonly kernel: KernelDefinition;
  readonly variant: Variant;
  readonly bindings: readonly Binding[];
  readonly uniforms: Readonly<Record<string, number>>;
  readonly grid: Grid;
}

export class Capture<T> {
  readonly device: Device;
  /** What the captured function returned; its tensors keep their place until `dispose`. */
  readonly result: T;
  readonly #kept: readonly Allocation[];
  readonly #launches: readonly (RecordedLaunch | CopyCommand)[];
  #commands: Command[] | undefined;
  #uniforms: UniformArena | undefined;
  readonly #onDispose: () => void;
  #disposed = false;

  constructor(
    device: Device,
    result: T,
    launches: readonly (RecordedLaunch | CopyCommand)[],
    kept: readonly Allocation[],
    onDispose: () => void,
  ) {
    this.device = device;
    this.result = result;
    this.#launches = launches;
    this.#kept = kept;
    this.#onDispose = onDispose;
    // Compilation goes on beside whatever the caller does next, such as streaming weights.
    for (const launch of launches)
      if ("kernel" in launch) void device.pipelines.compile(launch.kernel, launch.variant).catch(() => {});
  }

  get dispatches(): number {
    return this.#launches.filter((launch) => "kernel" in launch).length;
  }

  /** Resolves when every pipeline is compiled and every bind group is built. Rejects with a ShaderError. */
  async ready(): Promise<void> {
    await Promise.all(
      this.#launches.map((launch) =>
        "kernel" in launch ? this.device.pipelines.compile(launch.kernel, launch.variant) : undefined,
      ),
    );
    this.#build();
  }

  /** Runs the recorded work once, after everything recorded on the device so far. */
  run(): void {
    this.#build();
    this.device.replay(this.#commands!);
  }

  /** Gives back the memory of the results. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const allocation of this.#kept) allocation.pool.release(allocation);
    this.#uniforms?.buffer.destroy();
    this.#onDispose();
  }

  #build(): void {
    if (this.#commands) return;
    const { pipelines, bindGroups, gpu } = this.device;
    const count = this.#launches.filter((launch) => "kernel" in launch && launch.kernel.uniformNames.length > 0).length;
    const arena = new UniformArena(gpu, Math.max(1, count) * uniformAlignment);
    this.#uniforms = arena;
    this.#commands = this.#launches.map((launch) => {
      if (!("kernel" in launch)) return launch;
      const { kernel, variant, bindings, uniforms, grid } = launch;
      const hasUniforms = kernel.uniformNames.length > 0;
      const compiled = pipelines.compileNow(kernel, variant);
      return {
        kernel: compiled,
        bindGroup: bindGroups.build(compiled.layout, bindings, hasUniforms ? arena.buffer : undefined, uniformBytes(kernel)),
        offsets: hasUniforms ? [arena.push(kernel, uniforms)] : [],
        x: grid[0],
        y: grid[1] ?? 1,
        z: grid[2] ?? 1,
      };
    });
    arena.upload();
  }

  /** Dispatches by kernel name, for the bench. */
  countByKernel(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const command of this.#commands ?? [])
      if (!isCopy(command)) counts.set(command.kernel.name, (counts.get(command.kernel.name) ?? 0) + 1);
    return counts;
  }
}

export type { RecordedLaunch };
