/**
 * @file Commands and how they reach the GPU. A launch becomes a record (pipeline, bind group, uniform offset, grid); records are
 * encoded later, once for ordinary work or many times for a capture.
 */
import { LimnError, ShapeError } from "./errors.ts";
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

/**
 * Checks what a launch binds against the device's limits.
 * @throws LimnError USE_AFTER_FREE, BINDING_TOO_LARGE; ShapeError
 */
export function expectBindable(kernel: string, tensor: Tensor, limits: GPUSupportedLimits): void {
  if (tensor.allocation.freed) tensor.buffer; // throws, with the tensor's name
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } = limits;
  const bytes = bindingBytes(tensor);
  if (bytes > limit) {
    throw new LimnError("BINDING_TOO_LARGE", `${kernel}: ${tensor.label} takes ${bytes} bytes, a binding may have ${limit}`, {
      hint: "make a smaller picture; if it is a weight, use --precision f16, or an adapter that binds more",
      context: { tensor: tensor.label, bytes, limit },
    });
  }
  if (tensor.offset % alignment !== 0)
    throw new ShapeError(`${kernel}: ${tensor.label} begins at byte ${tensor.offset}, which is no multiple of ${alignment}`);
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
