/** @file What every form of an adapter answers: which weight it is for, by shapes alone, and what it adds to it, on the GPU. */
import type { Tensor } from "../../../engine/index.ts";
import type { WeightWindow } from "../../../kernels/index.ts";
import type { Part } from "../lora-parts.ts";

/** The tensors of one adapter. */
export interface Parts {
  /** Shape in the file; undefined if it has no such part. */
  shape(part: Part): readonly number[] | undefined;
  /** All numbers of a part, row-major. */
  values(part: Part): Promise<Float32Array>;
}

/** A weight in the file's order: [outputs, inner], where inner runs over inputs and their taps. */
export interface DeltaSize {
  readonly outputs: number;
  /** Undefined where any will do. */
  readonly inner: number | undefined;
  /** What alpha is divided by; undefined: the scale is 1. */
  readonly rank: number | undefined;
}

/** Records the launches that make D, f32 [outputs, inner], for a weight; within a scope of the caller's. */
export type MakeDelta = (window: WeightWindow) => Tensor;

export interface PrepareOptions {
  /** Ranks of a LoRA to use, from the first on. */
  readonly rank?: number | undefined;
  readonly alpha: number | undefined;
  /** Whose rule, where programs differ. */
  readonly rule: "comfy" | "a1111";
}

export interface DeltaForm {
  readonly name: string;
  /** True if the parts are of this form, be they complete or not. */
  has(parts: Parts): boolean;
  /** The weight it is for; undefined where parts are missing or don't fit together. */
  size(parts: Parts): DeltaSize | undefined;
  /** Reads the numbers of a form that has a size. */
  prepare(parts: Parts, options: PrepareOptions): Promise<MakeDelta>;
}

/** The product of all sizes but the first: columns of a tensor seen as a matrix. */
export function columnsOf(shape: readonly number[]): number {
  return shape.slice(1).reduce((product, size) => product * size, 1);
}

/** A matrix of the file on the device, f32 [rows, values.length / rows]. */
export function upload({ tensor }: WeightWindow, values: Float32Array, rows: number): Tensor {
  return tensor.device.upload(values, [rows, values.length / rows], "f32", "factor");
}
