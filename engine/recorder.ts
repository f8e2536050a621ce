/**
 * @file Commands and how they reach the GPU. A launch becomes a record (pipeline, bind group, uniform offset, grid); records are
 * encoded later, once for ordinary work or many times for a capture.
 */
import type { Device } from "./device.ts";
import type { KernelDefinition } from "./kernel.ts";
import type { CompiledKernel } from "./pipeline-cache.ts";
import { bufferUsage, type PooledBuffer } from "./pool.ts";
import type { Tensor } from "./tensor.ts";

export interface Dispatch {
  readonly kernel: CompiledKernel;
  readonly bindGroup: GPUBindGroup;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

export interface CopyCommand {
  readonly source: GPUBuffer;
  readonly sourceOffset: number;
  readonly target: GPUBuffer;
  readonly targetOffset: number;
  readonly bytes: number;
}

export type Command = Dispatch | CopyCommand;

export function isCopy(command: Command): command is CopyCommand {
  return "source" in command;
}

/** A buffer range as a bind group sees it. */
export interface Binding {
  readonly buffer: PooledBuffer;
  readonly offset: number;
  readonly size: number;
}

/** Bytes a tensor is bound with: its elements, rounded up to whole vectors of 16 bytes. */
export function bindingBytes(tensor: Tensor): number {
  return Math.max(16, Math.ceil(tensor.bytes / 16) * 16);
}

export function bindingOf(tensor: Tensor): Binding {
  const buffer = tensor.allocation.buffer;
  return { buffer, offset: tensor.offset, size: Math.min(bindingBytes(tensor), buffer.bytes - tensor.offset) };
}

export function copyCommand(source: Tensor, target: Tensor): CopyCommand {
  return {
    source: source.allocation.buffer.gpu,
    sourceOffset: source.offset,
    target: target.allocation.buffer.gpu,
    targetOffset: target.offset,
    bytes: Math.ceil(source.bytes / 4) * 4,
  };
}

/** A uniform struct in its buffer. */
export interface UniformRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

export const uniformAlignment = 256;

/** Uniform structs of a batch of launches, laid side by side; uploaded in one write before the batch runs. */
export class UniformArena {
  readonly buffer: GPUBuffer;
  readonly capacity: number;
  #used = 0;
  readonly #bytes: ArrayBuffer;
  readonly #view: DataView;
  readonly #queue: GPUQueue;

  constructor(device: Pick<Device, "gpu" | "allocate">, capacity: number) {
    this.capacity = capacity;
    this.buffer = device.allocate({
      label: "uniforms",
      size: capacity,
      usage: bufferUsage.UNIFORM | bufferUsage.COPY_DST,
    });
    this.#bytes = new ArrayBuffer(capacity);
    this.#view = new DataView(this.#bytes);
    this.#queue = device.gpu.queue;
  }

  get full(): boolean {
    return this.#used + uniformAlignment > this.capacity;
  }

  /** Writes one struct and returns where it lies; undefined for a kernel without. All are 4-byte scalars: an array of words. */
  push(kernel: KernelDefinition, values: Readonly<Record<string, number>>): UniformRange | undefined {
    const count = kernel.uniformNames.length;
    if (count === 0) return undefined;
    const offset = this.#used;
    for (const [i, name] of kernel.uniformNames.entries()) {
      const value = values[name]!;
      const type = kernel.uniformTypes[i];
      if (type === "f32") this.#view.setFloat32(offset + 4 * i, value, true);
      else if (type === "i32") this.#view.setInt32(offset + 4 * i, value, true);
      else this.#view.setUint32(offset + 4 * i, value, true);
    }
    this.#used += uniformAlignment;
    return { buffer: this.buffer, offset, size: Math.ceil(count / 4) * 16 };
  }

  /** Sends what was pushed. The queue keeps the order: earlier submissions still see the earlier contents. */
  upload(): void {
    if (this.#used > 0) this.#queue.writeBuffer(this.buffer, 0, this.#bytes, 0, this.#used);
  }

  reset(): void {
    this.#used = 0;
  }
}

/** Bind groups by layout and bound ranges, so that work which repeats builds none. */
export class BindGroupCache {
  readonly #device: GPUDevice;
  readonly #groups = new Map<string, GPUBindGroup>();
  /** Keys that mention a buffer, to forget them when it is destroyed. */
  readonly #byBuffer = new Map<number, Set<string>>();
  readonly #layoutIds = new Map<GPUBindGroupLayout, number>();
  /** Bind groups built so far. */
  built = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get(layout: GPUBindGroupLayout, bindings: readonly Binding[], uniforms: UniformRange | undefined): GPUBindGroup {
    let id = this.#layoutIds.get(layout);
    if (id === undefined) {
      id = this.#layoutIds.size;
      this.#layoutIds.set(layout, id);
    }
    const key = `${id}|${uniforms?.offset}|${bindings.map((b) => `${b.buffer.id}:${b.offset}:${b.size}`).join("|")}`;
    const known = this.#groups.get(key);
    if (known) return known;
    const group = this.build(layout, bindings, uniforms);
    this.#groups.set(key, group);
    for (const { buffer } of bindings) {
      const keys = this.#byBuffer.get(buffer.id);
      if (keys) keys.add(key);
      else this.#byBuffer.set(buffer.id, new Set([key]));
    }
    return group;
  }

  /** Builds one that is kept by the caller (a capture). */
  build(layout: GPUBindGroupLayout, bindings: readonly Binding[], uniforms: UniformRange | undefined): GPUBindGroup {
    this.built++;
    const entries: GPUBindGroupEntry[] = bindings.map((b, binding) => ({
      binding,
      resource: { buffer: b.buffer.gpu, offset: b.offset, size: b.size },
    }));
    if (uniforms) entries.push({ binding: entries.length, resource: uniforms });
    return this.#device.createBindGroup({ layout, entries });
  }

  forget(buffer: PooledBuffer): void {
    for (const key of this.#byBuffer.get(buffer.id) ?? []) this.#groups.delete(key);
    this.#byBuffer.delete(buffer.id);
  }
}

/** Encodes commands in order into one compute pass (a copy splits it). */
export function encodeCommands(encoder: GPUCommandEncoder, commands: readonly Command[]): void {
  let pass: GPUComputePassEncoder | undefined;
  let current: GPUComputePipeline | undefined;
  for (const command of commands) {
    if (isCopy(command)) {
      pass?.end();
      pass = undefined;
      encoder.copyBufferToBuffer(command.source, command.sourceOffset, command.target, command.targetOffset, command.bytes);
      continue;
    }
    if (!pass) {
      pass = encoder.beginComputePass();
      current = undefined;
    }
    const pipeline = command.kernel.pipeline!;
    if (pipeline !== current) {
      pass.setPipeline(pipeline);
      current = pipeline;
    }
    pass.setBindGroup(0, command.bindGroup);
    // Each argument costs the binding time.
    if (command.y === 1 && command.z === 1) pass.dispatchWorkgroups(command.x);
    else pass.dispatchWorkgroups(command.x, command.y, command.z);
  }
  pass?.end();
}
