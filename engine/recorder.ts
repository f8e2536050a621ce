/**
 * @file Commands and how they reach the GPU. A launch becomes a record (pipeline, bind group, uniform offset, grid); records are
 * encoded later, once for ordinary work or many times for a capture.
 */
import type { Device } from "./device.ts";
import { OutOfMemoryError, ShapeError } from "./errors.ts";
import type { CompiledKernel } from "./pipeline-cache.ts";
import type { PooledBuffer } from "./pool.ts";
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

/** Throws for a tensor that has been freed or that another device made. @throws LimnError USE_AFTER_FREE; ShapeError */
export function expectUsable(op: string, tensor: Tensor, device: Device): void {
  if (tensor.allocation.freed) tensor.buffer; // throws, with the tensor's name
  if (tensor.device !== device) throw new ShapeError(`${op}: ${tensor.label} belongs to another device`);
}

/**
 * Checks what a launch binds against the device and its limits.
 * @throws LimnError USE_AFTER_FREE; OutOfMemoryError BINDING_TOO_LARGE; ShapeError
 */
export function expectBindable(kernel: string, tensor: Tensor, device: Device): void {
  expectUsable(kernel, tensor, device);
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } = device.limits;
  const bytes = bindingBytes(tensor);
  if (bytes > limit) {
    throw new OutOfMemoryError(
      "BINDING_TOO_LARGE",
      `${kernel}: ${tensor.label} takes ${bytes} bytes, a binding may have ${limit}`,
      {
        hint: "make a smaller picture; if it is a weight, use --precision f16, or an adapter that binds more",
        context: { tensor: tensor.label, bytes, limit },
      },
    );
  }
  if (tensor.offset % alignment !== 0)
    throw new ShapeError(`${kernel}: ${tensor.label} begins at byte ${tensor.offset}, which is no multiple of ${alignment}`);
}

/** Checks what a copy is between. @throws LimnError USE_AFTER_FREE; ShapeError */
export function expectCopyable(source: Tensor, target: Tensor, device: Device): void {
  for (const tensor of [source, target]) {
    expectUsable("copy", tensor, device);
    if (tensor.offset % 4 !== 0)
      throw new ShapeError(`copy: ${tensor.label} begins at byte ${tensor.offset}, which is no multiple of 4`);
  }
  if (source.bytes !== target.bytes)
    throw new ShapeError(`copy: ${source.label} has ${source.bytes} bytes, ${target.label} ${target.bytes}`);
  if ((source.allocation.slots ?? source.allocation) === (target.allocation.slots ?? target.allocation))
    throw new ShapeError(`copy: ${source.label} and ${target.label} lie in one buffer, within which WebGPU copies nothing`);
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

/**
 * Encodes the same commands into each of the encoders, in order, in one compute pass each (a copy splits it): call by call side by
 * side, as Dawn's code for a call and what it reads of a bind group are then at hand for the next encoder (a tenth of the time).
 */
export function encodeCommands(encoders: readonly GPUCommandEncoder[], commands: readonly Command[]): void {
  let passes: readonly GPUComputePassEncoder[] = [];
  let current: GPUComputePipeline | undefined;
  const endPasses = () => {
    for (const pass of passes) pass.end();
    passes = [];
    current = undefined;
  };
  for (const command of commands) {
    if (isCopy(command)) {
      endPasses();
      const { source, sourceOffset, target, targetOffset, bytes } = command;
      for (const encoder of encoders) encoder.copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
    } else {
      if (passes.length === 0) passes = encoders.map((encoder) => encoder.beginComputePass());
      const { kernel, bindGroup, x, y, z } = command;
      if (kernel.pipeline !== current) setPipelines(passes, kernel.pipeline!);
      if (y === 1 && z === 1) dispatchLine(passes, bindGroup, x);
      else dispatchGrid(passes, bindGroup, x, y, z);
      current = kernel.pipeline;
    }
  }
  endPasses();
}

// What follows is called thousands of times a picture. V8 optimizes functions of at most 80 bytes of bytecode soonest, within the first
// burst of replays, and optimized code calls Dawn a seventh faster: so no more than two loops each.

function setPipelines(passes: readonly GPUComputePassEncoder[], pipeline: GPUComputePipeline): void {
  const { length } = passes;
  for (let i = 0; i < length; i++) passes[i]!.setPipeline(pipeline);
}

/** A grid of one dimension, as each further one costs the binding time. */
function dispatchLine(passes: readonly GPUComputePassEncoder[], bindGroup: GPUBindGroup, x: number): void {
  const { length } = passes;
  for (let i = 0; i < length; i++) passes[i]!.setBindGroup(0, bindGroup);
  for (let i = 0; i < length; i++) passes[i]!.dispatchWorkgroups(x);
}

function dispatchGrid(passes: readonly GPUComputePassEncoder[], bindGroup: GPUBindGroup, x: number, y: number, z: number): void {
  const { length } = passes;
  for (let i = 0; i < length; i++) passes[i]!.setBindGroup(0, bindGroup);
  for (let i = 0; i < length; i++) passes[i]!.dispatchWorkgroups(x, y, z);
}
