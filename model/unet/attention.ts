import type { Tensor } from "../../engine/index.ts";
import { attention } from "../../kernels/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { FusedLinear, Linear, withResidual } from "../layers.ts";

/** Multi-head self-attention (Vaswani et al. 2017) of pixels to pixels. Source: `CrossAttention` in ldm/modules/attention.py. */
export class SelfAttention {
  readonly path: string;
  readonly qkv: FusedLinear; // to_q | to_k | to_v
  readonly out: Linear; //      to_out.0
  readonly heads: number;

  constructor(weights: Weights, heads: number) {
    this.path = weights.path;
    this.qkv = new FusedLinear(weights, ["to_q", "to_k", "to_v"]);
    this.out = new Linear(weights.at("to_out.0"));
    this.heads = heads;
  }

  /** x [N, T, C] (normed), residual [N, T, C] -> residual + attention(x) */
  forward(x: Tensor, residual: Tensor): Tensor {
    const width = x.shape.at(-1)!;
    const qkv = this.qkv.forward(x); //                                       [N, T, 3C]
    const columns = { q: 0, k: width, v: 2 * width };
    const h = attention(qkv, qkv, qkv, { heads: this.heads, headDim: width / this.heads, columns }); // [N, T, C]
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
    this.query = new Linear(weights.at("to_q"));
    this.keyValue = new FusedLinear(weights, ["to_k", "to_v"]);
    this.out = new Linear(weights.at("to_out.0"));
    this.heads = heads;
  }

  /** context [N, S, D] -> keys and values [N, S, 2C]: they depend on the prompt alone, so once a picture is enough. */
  prepare(context: Tensor): Tensor {
    return this.keyValue.forward(context);
  }

  /** x [N, T, C] (normed), keyValue [N, S, 2C], residual [N, T, C] -> residual + attention(x, context) */
  forward(x: Tensor, keyValue: Tensor, residual: Tensor): Tensor {
    const width = x.shape.at(-1)!;
    const q = this.query.forward(x); //                                       [N, T, C]
    const columns = { q: 0, k: 0, v: width };
    const h = attention(q, keyValue, keyValue, { heads: this.heads, headDim: width / this.heads, columns }); // [N, T, C]
    return withResidual(this.path, residual, (epilogue) => this.out.forward(h, epilogue));
  }
}
