/** @file Uniform structs: how they are written, and where those of a capture lie. */
import type { Device } from "./device.ts";
import type { KernelDefinition } from "./kernel.ts";
import { bufferUsage } from "./pool.ts";

/** A uniform struct in its buffer. */
export interface UniformRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** Every struct begins at a multiple of this, which is also the most that one may have. */
export const uniformAlignment = 256;

/** Bytes that a kernel's struct is bound with. */
export function uniformBytes(kernel: KernelDefinition): number {
  return Math.ceil(kernel.uniformNames.length / 4) * 16;
}

/** Writes a kernel's struct into `view`. All members are scalars of 4 bytes: it is an array of words. */
export function writeUniforms(
  view: DataView,
  offset: number,
  kernel: KernelDefinition,
  values: Readonly<Record<string, number>>,
): void {
  for (const [i, name] of kernel.uniformNames.entries()) {
    const value = values[name]!;
    const type = kernel.uniformTypes[i];
    if (type === "f32") view.setFloat32(offset + 4 * i, value, true);
    else if (type === "i32") view.setInt32(offset + 4 * i, value, true);
    else view.setUint32(offset + 4 * i, value, true);
  }
}

/** The structs of a capture's launches, laid side by side and uploaded once. */
export class UniformArena {
  readonly buffer: GPUBuffer;
  #used = 0;
  readonly #bytes: ArrayBuffer;
  readonly #view: DataView;
  readonly #queue: GPUQueue;

  constructor(device: Pick<Device, "gpu" | "allocate">, launches: number) {
    const size = Math.max(1, launches) * uniformAlignment;
    this.buffer = device.allocate({ label: "uniforms", size, usage: bufferUsage.UNIFORM | bufferUsage.COPY_DST });
    this.#bytes = new ArrayBuffer(size);
    this.#view = new DataView(this.#bytes);
    this.#queue = device.gpu.queue;
  }

  /** Writes one struct and returns where it lies; undefined for a kernel without. */
  push(kernel: KernelDefinition, values: Readonly<Record<string, number>>): UniformRange | undefined {
    if (kernel.uniformNames.length === 0) return undefined;
    const offset = this.#used;
    writeUniforms(this.#view, offset, kernel, values);
    this.#used += uniformAlignment;
    return { buffer: this.buffer, offset, size: uniformBytes(kernel) };
  }

  upload(): void {
    if (this.#used > 0) this.#queue.writeBuffer(this.buffer, 0, this.#bytes, 0, this.#used);
  }
}
