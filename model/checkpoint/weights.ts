/**
 * @file The path that a module walks to its weights. `weights.at("norm1").vector("weight")` names a tensor of the file by the
 * checkpoint's own path and gives the tensor that it will be on the device; nothing is read until the checkpoint loads.
 */
import type { Tensor } from "../../engine/index.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { RowReader } from "./rows.ts";

export type { RowReader } from "./rows.ts";

/** A checkpoint seen from one path. */
export class Weights {
  readonly path: string;
  readonly #checkpoint: Checkpoint;

  constructor(checkpoint: Checkpoint, path: string) {
    this.#checkpoint = checkpoint;
    this.path = path;
  }

  /** The view below `path`; an empty one is this view. */
  at(path: string): Weights {
    return new Weights(this.#checkpoint, this.#full(path));
  }

  has(name: string): boolean {
    return this.#checkpoint.file.tensors.has(this.#full(name));
  }

  /** Shape in the file; [] if there is no such tensor. */
  shape(name: string): readonly number[] {
    return this.#checkpoint.file.tensors.get(this.#full(name))?.shape ?? [];
  }

  /** A matrix: file [out, in] or [out, in, 1, 1] -> device [in, out padded to a multiple of 4]. */
  linear(name = "weight"): Tensor {
    return this.#checkpoint.linear([this.#full(name)]);
  }

  /** Several matrices [out_i, in] of one input side by side: device [in, sum of out_i], in the order of the names. */
  concatLinear(names: readonly string[]): Tensor {
    return this.#checkpoint.linear(names.map((name) => this.#full(name)));
  }

  /** A matrix that stands as [in, out] in the file already (OpenCLIP's `text_projection`): device [in, out], no padding. */
  matrix(name = "weight"): Tensor {
    return this.#checkpoint.matrix(this.#full(name));
  }

  /**
   * A convolution: file [O, I, KH, KW] -> device [KH, KW, I padded to a multiple of 4, O padded to a multiple of 4].
   * @param options.padInput input channels on the device, if more than that
   */
  conv(name = "weight", options: { readonly padInput?: number } = {}): Tensor {
    return this.#checkpoint.conv(this.#full(name), options.padInput);
  }

  /** A vector, always f32, padded with zeros to a multiple of 4, or to `pad` elements if that is more. */
  vector(name: string, options: { readonly pad?: number } = {}): Tensor {
    return this.#checkpoint.vector([this.#full(name)], options.pad);
  }

  /** Several vectors one after the other. */
  concatVector(names: readonly string[]): Tensor {
    return this.#checkpoint.vector(names.map((name) => this.#full(name)));
  }

  /** A table whose rows are read on the CPU when needed. */
  rows(name: string): RowReader {
    return this.#checkpoint.rows(this.#full(name));
  }

  /** Says that the tensors below this path are known and left out on purpose, so that they are not reported as unused. */
  leave(): void {
    this.#checkpoint.leave(this.path);
  }

  #full(name: string): string {
    return this.path === "" || name === "" ? `${this.path}${name}` : `${this.path}.${name}`;
  }
}
