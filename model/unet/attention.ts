import type { Tensor } from "../../engine/index.ts";
import { attention } from "../../kernels/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { FusedLinear, Linear, withResidual } from "../layers.ts";
import type { ContextChanges } from "./context-change.ts";

/** Keys in the first half of the columns of one tensor, values in the second half of another, which mostly is the same. */
export interface KeyValue {
  /** [N, S, 2C] */
  readonly keys: Tensor;
  /** [N, S, 2C] */
  readonly values: Tensor;
}

/** Multi-head self-attention (Vaswani et al. 2017) of pixels to pixels. Source: `CrossAttention` in ldm/modules/attention.py. */
export class SelfAttention {
  readonly path: string;
  readonly qkv: FusedLinear; // to_q | to_k | to_v
  readonly out: Linear; //      to_out.0
  readonly heads: number;

  constructor(weights: Weights, heads: number) {
    this.path = weights.path;
    this.qkv = new FusedLinear(weights, ["to_q", "to_k", "to_v"], { bias: false });
    this.out = new Linear(weights.at("to_out.0"));
    this.heads = heads;
  }

  /** x [N, T, C] (normed), residual [N, T, C] -> residual + attention(x) */
  forward(x: Tensor, residual: Tensor, changes?: ContextChanges): Tensor {
    const width = x.shape.at(-1)!;
    const change = changes?.at(width);
    const qkv = this.qkv.forward(x); //                                       [N, T, 3C]
    const keys = change ? this.qkv.forward(change.keys(x)) : qkv;
    const values = change ? this.qkv.forward(change.values(x)) : qkv;
    const columns = { q: 0, k: width, v: 2 * width };
    const h = attention(qkv, keys, values, { heads: this.heads, headDim: width / this.heads, columns }); // [N, T, C]
    return withResidual(this.path, residual, (epilogue) => this.out.forward(h, epilogue));
  }
}

/** Multi-head attention of pixels to the prompt's context. */
export class CrossAttention {
  readonly path: string;
  readonly query: Linear; //          to_q
  readonly keyValue: FusedLinear; //  to_k | to_v
  readonly out: Linear; //            to_out.0
  readonly heads: number;

  constructor(weights: Weights, heads: number) {
    this.path = weights.path;
    this.query = new Linear(weights.at("to_q"), { bias: false });
    this.keyValue = new FusedLinear(weights, ["to_k", "to_v"], { bias: false });
    this.out = new Linear(weights.at("to_out.0"));
    this.heads = heads;
  }

  /** context [N, S, D] -> keys and values: they depend on the prompt alone, so once a picture is enough. */
  prepare(context: Tensor, changes?: ContextChanges): KeyValue {
    const change = changes?.at(context.shape.at(-1)!);
    if (change) {
      return {
        keys: this.keyValue.forward(change.keys(context)),
        values: this.keyValue.forward(change.values(context)),
      };
    }
    const both = this.keyValue.forward(context);
    return { keys: both, values: both };
  }

  /** x [N, T, C] (normed), residual [N, T, C] -> residual + attention(x, context) */
  forward(x: Tensor, { keys, values }: KeyValue, residual: Tensor): Tensor {
    const width = x.shape.at(-1)!;
    const q = this.query.forward(x); //                                       [N, T, C]
    const columns = { q: 0, k: 0, v: width };
    const h = attention(q, keys, values, { heads: this.heads, headDim: width / this.heads, columns }); // [N, T, C]
    return withResidual(this.path, residual, (epilogue) => this.out.forward(h, epilogue));
  }
}
