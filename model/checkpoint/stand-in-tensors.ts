/** @file What every tensor of a stand-in is for: it decides how its numbers spread. */

/**
 * matrix: keeps the spread of what goes through it. branch: the last matrix of a residual branch, which must not pile up.
 * gain, bias: of norms and layers. wideBias: as in models that predict the velocity. embedding: token and position tables.
 * positions: 0, 1, 2, ... logitScale: CLIP's temperature, ln 100.
 */
export type Role = "matrix" | "branch" | "gain" | "bias" | "wideBias" | "embedding" | "positions" | "logitScale";

export interface StandInTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: Role;
}

/** Names tensors below a path and collects them. */
export class TensorList {
  readonly tensors: StandInTensor[];
  readonly #path: string;

  constructor(path: string, tensors: StandInTensor[] = []) {
    this.#path = path;
    this.tensors = tensors;
  }

  at(path: string): TensorList {
    return new TensorList(`${this.#path}.${path}`, this.tensors);
  }

  add(name: string, shape: readonly number[], role: Role): void {
    this.tensors.push({ name: `${this.#path}.${name}`, shape, role });
  }

  norm(path: string, width: number, shift: "bias" | "wideBias" = "bias"): void {
    this.add(`${path}.weight`, [width], "gain");
    this.add(`${path}.bias`, [width], shift);
  }

  /** File layout [out, in]. */
  linear(path: string, inputs: number, outputs: number, role: "matrix" | "branch" = "matrix", bias = true): void {
    this.add(`${path}.weight`, [outputs, inputs], role);
    if (bias) this.add(`${path}.bias`, [outputs], "bias");
  }

  /** File layout [out, in, size, size]. */
  conv(path: string, inputs: number, outputs: number, size: 1 | 3, role: "matrix" | "branch" = "matrix"): void {
    this.add(`${path}.weight`, [outputs, inputs, size, size], role);
    this.add(`${path}.bias`, [outputs], "bias");
  }
}
