import type { Tensor } from "../../engine/index.ts";
import { attention } from "../../kernels/index.ts";
import type { TextConfig } from "../checkpoint/config.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { type Activation, FusedLinear, LayerNorm, Linear } from "../layers.ts";

/**
 * norm -> causal self-attention, norm -> MLP, each with its residual.
 * Sources: `CLIPEncoderLayer` (transformers) and `ResidualAttentionBlock` (open_clip), which name the same things differently.
 */
export class TextLayer {
  readonly norm1: LayerNorm; //            layer_norm1                          | ln_1
  readonly qkv: Linear | FusedLinear; //   self_attn.q_proj, k_proj, v_proj     | attn.in_proj_weight
  readonly out: Linear; //                 self_attn.out_proj                   | attn.out_proj
  readonly norm2: LayerNorm; //            layer_norm2                          | ln_2
  readonly expand: Linear; //              mlp.fc1                              | mlp.c_fc
  readonly contract: Linear; //            mlp.fc2                              | mlp.c_proj
  readonly heads: number;
  readonly activation: Activation;

  constructor(weights: Weights, config: TextConfig) {
    const clip = config.kind === "clip";
    const attn = weights.at(clip ? "self_attn" : "attn");
    this.norm1 = new LayerNorm(weights.at(clip ? "layer_norm1" : "ln_1"));
    this.qkv = clip
      ? new FusedLinear(attn, ["q_proj", "k_proj", "v_proj"])
      : new Linear(attn, { weight: "in_proj_weight", bias: "in_proj_bias" });
    this.out = new Linear(attn.at("out_proj"));
    this.norm2 = new LayerNorm(weights.at(clip ? "layer_norm2" : "ln_2"));
    this.expand = new Linear(weights.at(clip ? "mlp.fc1" : "mlp.c_fc"));
    this.contract = new Linear(weights.at(clip ? "mlp.fc2" : "mlp.c_proj"));
    this.heads = config.heads;
    this.activation = config.activation;
  }

  /** x [P, T, C] -> [P, T, C] */
  forward(x: Tensor): Tensor {
    const width = x.shape.at(-1)!;
    return x.device.scope(() => {
      const qkv = this.qkv.forward(this.norm1.forward(x)); //                        [P, T, 3C]
      const columns = { q: 0, k: width, v: 2 * width };
      const h = attention(qkv, qkv, qkv, { heads: this.heads, headDim: width / this.heads, causal: true, columns });
      const attended = this.out.forward(h, { residual: x }); //                      [P, T, C]
      const hidden = this.expand.forward(this.norm2.forward(attended), { activation: this.activation }); // [P, T, 4C]
      return this.contract.forward(hidden, { residual: attended }); //               [P, T, C]
    });
  }
}
