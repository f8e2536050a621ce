/**
 * @file The timestep's projections of all residual blocks (`emb_layers.1`) as one product: each block takes its own columns of the
 * result. Twenty-two products of one or two rows would cost as much as twenty-two launches, this costs one.
 */
import type { Tensor } from "../../engine/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { FusedLinear } from "../layers.ts";

export class TimeColumns {
  readonly #weights: Weights;
  readonly #names: string[] = [];
  #width = 0;
  #linear: FusedLinear | undefined;

  /** `weights`: the network whose blocks reserve columns. */
  constructor(weights: Weights) {
    this.#weights = weights;
  }

  /** Takes a block's `emb_layers.1` [C', Ct] in; returns the first of its C' columns. */
  reserve(projection: Weights): number {
    const { path } = this.#weights;
    this.#names.push(path === "" ? projection.path : projection.path.slice(path.length + 1));
    const first = this.#width;
    this.#width += projection.shape("weight")[0] ?? 0;
    return first;
  }

  /** Plans the weights, once all blocks have reserved theirs. */
  load(): void {
    this.#linear = new FusedLinear(this.#weights, this.#names);
  }

  /** time [N, Ct] (after SiLU) -> [N, sum of C'] */
  forward(time: Tensor): Tensor {
    if (!this.#linear) throw new RangeError("TimeColumns: load() comes before forward()");
    return this.#linear.forward(time);
  }
}
