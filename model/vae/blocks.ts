import type { Tensor } from "../../engine/index.ts";
import { attention } from "../../kernels/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { Conv2d, FusedLinear, GroupNorm, Linear, tap } from "../layers.ts";

/** eps of every group norm in the VAE. */
export const vaeNormEps = 1e-6;

/** norm -> silu -> conv twice, plus the input. Source: `ResnetBlock` in ldm/modules/diffusionmodules/model.py. */
export class VaeResBlock {
  readonly path: string;
  readonly norm1: GroupNorm;
  readonly conv1: Conv2d;
  readonly norm2: GroupNorm;
  readonly conv2: Conv2d;
  readonly shortcut: Conv2d | undefined; // nin_shortcut, where the channels change

  constructor(weights: Weights, normGroups: number) {
    this.path = weights.path;
    this.norm1 = new GroupNorm(weights.at("norm1"), normGroups, vaeNormEps);
    this.conv1 = new Conv2d(weights.at("conv1"));
    this.norm2 = new GroupNorm(weights.at("norm2"), normGroups, vaeNormEps);
    this.conv2 = new Conv2d(weights.at("conv2"));
    const [outputs, inputs] = weights.shape("conv1.weight");
    const hasShortcut = inputs !== outputs || weights.has("nin_shortcut.weight");
    this.shortcut = hasShortcut ? new Conv2d(weights.at("nin_shortcut")) : undefined;
  }

  /** x [N, H, W, C] -> [N, H, W, C'] */
  forward(x: Tensor): Tensor {
    return x.device.scope(() => {
      const h = this.conv1.forward(this.norm1.forward(x, { silu: true })); // [N, H, W, C']
      const residual = this.shortcut?.forward(x) ?? x;
      return tap(this.path, this.conv2.forward(this.norm2.forward(h, { silu: true }), { residual }));
    });
  }
}

/** Self-attention of one head as wide as the channels. Source: `AttnBlock` in model.py. */
export class VaeAttention {
  readonly path: string;
  readonly norm: GroupNorm;
  readonly qkv: FusedLinear; // q | k | v: 1x1 convolutions
  readonly out: Linear; //      proj_out

  constructor(weights: Weights, normGroups: number) {
    this.path = weights.path;
    this.norm = new GroupNorm(weights.at("norm"), normGroups, vaeNormEps);
    this.qkv = new FusedLinear(weights, ["q", "k", "v"]);
    this.out = new Linear(weights.at("proj_out"));
  }

  /** x [N, H, W, C] -> [N, H, W, C] */
  forward(x: Tensor): Tensor {
    const [n = 1, height = 1, width = 1, channels = 1] = x.shape;
    return x.device.scope(() => {
      const pixels = x.reshape([n, height * width, channels]); //                  [N, HW, C]
      const qkv = this.qkv.forward(this.norm.forward(x).reshape(pixels.shape)); // [N, HW, 3C]
      const h = attention(qkv, qkv, qkv, { heads: 1, headDim: channels, columns: { q: 0, k: channels, v: 2 * channels } });
      return tap(this.path, this.out.forward(h, { residual: pixels }).reshape(x.shape));
    });
  }
}

/** mid.block_1 -> mid.attn_1 -> mid.block_2: the same in encoder and decoder. */
export class VaeMiddle {
  readonly block1: VaeResBlock;
  readonly attn1: VaeAttention;
  readonly block2: VaeResBlock;

  constructor(weights: Weights, normGroups: number) {
    this.block1 = new VaeResBlock(weights.at("block_1"), normGroups);
    this.attn1 = new VaeAttention(weights.at("attn_1"), normGroups);
    this.block2 = new VaeResBlock(weights.at("block_2"), normGroups);
  }

  forward(x: Tensor): Tensor {
    return x.device.scope(() => this.block2.forward(this.attn1.forward(this.block1.forward(x))));
  }
}
