import type { Tensor } from "../../engine/index.ts";
import { concat } from "../../kernels/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { Conv2d, GroupNorm, tap } from "../layers.ts";
import type { TimeColumns } from "./time-columns.ts";

/**
 * U-Net residual block: norm -> silu -> conv twice, with the timestep added between the two.
 * Source: `ResBlock` in ldm/modules/diffusionmodules/openaimodel.py.
 */
export class ResBlock {
  readonly path: string;
  readonly norm1: GroupNorm; //             in_layers.0
  readonly conv1: Conv2d; //                in_layers.2
  readonly timeColumn: number; //           emb_layers.1: first of its columns in the product that all blocks share
  readonly norm2: GroupNorm; //             out_layers.0
  readonly conv2: Conv2d; //                out_layers.3
  readonly shortcut: Conv2d | undefined; // skip_connection, where the channels change

  constructor(weights: Weights, normGroups: number, time: TimeColumns) {
    this.path = weights.path;
    this.norm1 = new GroupNorm(weights.at("in_layers.0"), normGroups, 1e-5);
    this.conv1 = new Conv2d(weights.at("in_layers.2"));
    this.timeColumn = time.reserve(weights.at("emb_layers.1"));
    this.norm2 = new GroupNorm(weights.at("out_layers.0"), normGroups, 1e-5);
    this.conv2 = new Conv2d(weights.at("out_layers.3"));
    const [outputs, inputs] = weights.shape("in_layers.2.weight");
    const hasShortcut = inputs !== outputs || weights.has("skip_connection.weight");
    this.shortcut = hasShortcut ? new Conv2d(weights.at("skip_connection")) : undefined;
  }

  /** x [N, H, W, C], time [N, all blocks' C'] (projected) -> [N, H, W, C'] */
  forward(x: Tensor, time: Tensor): Tensor {
    return x.device.scope(() => this.#forward(x, undefined, this.shortcut?.forward(x) ?? x, time));
  }

  /** The same of a map and the skip beside it [N, H, W, C''], which are joined only where there is no shortcut to join them. */
  forwardOfTwo(x: Tensor, skip: Tensor, time: Tensor): Tensor {
    const { shortcut } = this;
    if (!shortcut) return x.device.scope(() => this.forward(concat(x, skip), time));
    return x.device.scope(() => this.#forward(x, skip, shortcut.forwardOfTwo(x, skip), time));
  }

  #forward(x: Tensor, beside: Tensor | undefined, residual: Tensor, time: Tensor): Tensor {
    const added = { channelAdd: time, channelAddColumn: this.timeColumn };
    const h = this.conv1.forward(this.norm1.forward(x, { silu: true, beside }), added); // [N, H, W, C']
    return tap(this.path, this.conv2.forward(this.norm2.forward(h, { silu: true }), { residual }));
  }
}
