import type { Tensor } from "../../engine/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { Conv2d, GroupNorm, LayerNorm, Linear, tap, withResidual } from "../layers.ts";
import { CrossAttention, type KeyValue, SelfAttention } from "./attention.ts";
import type { ContextChanges } from "./context-change.ts";

/** Position-wise network with a GEGLU gate (Shazeer 2020). Source: `FeedForward` in ldm/modules/attention.py. */
export class FeedForward {
  readonly path: string;
  readonly expand: Linear; //   net.0.proj  [C, 8C]: value | gate
  readonly contract: Linear; // net.2       [4C, C]

  constructor(weights: Weights) {
    this.path = weights.path;
    this.expand = new Linear(weights.at("net.0.proj"));
    this.contract = new Linear(weights.at("net.2"));
  }

  /** x [N, T, C] (normed), residual [N, T, C] -> residual + ff(x) */
  forward(x: Tensor, residual: Tensor): Tensor {
    const h = this.expand.forwardGeglu(x); // [N, T, 4C]
    return withResidual(this.path, residual, (epilogue) => this.contract.forward(h, epilogue));
  }
}

/** norm -> self-attention, norm -> cross-attention, norm -> feed-forward, each with its residual. Source: `BasicTransformerBlock`. */
export class TransformerBlock {
  readonly path: string;
  readonly norm1: LayerNorm;
  readonly attn1: SelfAttention;
  readonly norm2: LayerNorm;
  readonly attn2: CrossAttention;
  readonly norm3: LayerNorm;
  readonly ff: FeedForward;

  constructor(weights: Weights, heads: number) {
    this.path = weights.path;
    this.norm1 = new LayerNorm(weights.at("norm1"));
    this.attn1 = new SelfAttention(weights.at("attn1"), heads);
    this.norm2 = new LayerNorm(weights.at("norm2"));
    this.attn2 = new CrossAttention(weights.at("attn2"), heads);
    this.norm3 = new LayerNorm(weights.at("norm3"));
    this.ff = new FeedForward(weights.at("ff"));
  }

  /** x [N, T, C] -> [N, T, C] */
  forward(x: Tensor, keyValue: KeyValue, changes?: ContextChanges): Tensor {
    return x.device.scope(() => {
      let h = this.attn1.forward(this.norm1.forward(x), x, changes); //   [N, T, C]
      h = this.attn2.forward(this.norm2.forward(h), keyValue, h); //      [N, T, C]
      return tap(this.path, this.ff.forward(this.norm3.forward(h), h)); // [N, T, C]
    });
  }
}

/** Transformer blocks over the pixels of a map. Source: `SpatialTransformer` in ldm/modules/attention.py. */
export class SpatialTransformer {
  readonly path: string;
  readonly norm: GroupNorm;
  readonly projIn: Linear; //  proj_in: 1x1 convolution (SD 1) or linear (SD 2, SDXL), the same product over pixels
  readonly blocks: readonly TransformerBlock[];
  readonly projOut: Linear; // proj_out

  constructor(weights: Weights, options: { depth: number; heads: number; normGroups: number }) {
    this.path = weights.path;
    this.norm = new GroupNorm(weights.at("norm"), options.normGroups, 1e-6);
    this.projIn = new Linear(weights.at("proj_in"));
    this.blocks = Array.from(
      { length: options.depth },
      (_, i) => new TransformerBlock(weights.at(`transformer_blocks.${i}`), options.heads),
    );
    this.projOut = new Linear(weights.at("proj_out"));
  }

  /** context [N, S, D] -> keys and values for each block */
  prepare(context: Tensor, changes?: ContextChanges): KeyValue[] {
    return this.blocks.map((block) => block.attn2.prepare(context, changes));
  }

  /** x [N, H, W, C], keyValues: what `prepare` gave -> [N, H, W, C] */
  forward(x: Tensor, keyValues: readonly KeyValue[], changes?: ContextChanges): Tensor {
    const [n = 1, height = 1, width = 1, channels = 1] = x.shape;
    return x.device.scope(() => {
      const pixels = x.reshape([n, height * width, channels]); //                              [N, HW, C]
      let h = this.projIn.forward(this.norm.forward(x).reshape(pixels.shape)); //              [N, HW, C]
      for (const [i, block] of this.blocks.entries()) h = block.forward(h, keyValues[i]!, changes); // [N, HW, C]
      return tap(this.path, this.projOut.forward(h, { residual: pixels }).reshape(x.shape)); // [N, H, W, C]
    });
  }
}

/** Halves a map: 3x3 convolution of stride 2. Source: `Downsample` in openaimodel.py. */
export function downsample(weights: Weights): Conv2d {
  return new Conv2d(weights.at("op"), { stride: 2, padding: 1 });
}

/** Doubles a map: nearest neighbour, then a 3x3 convolution, as one kernel. Source: `Upsample` in openaimodel.py. */
export function upsample(weights: Weights): Conv2d {
  return new Conv2d(weights, { upsample: true });
}
