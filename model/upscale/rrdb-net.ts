import type { Tensor } from "../../engine/index.ts";
import { combine, concat } from "../../kernels/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { Conv2d, chain } from "../layers.ts";
import type { RrdbStructure } from "./structure.ts";

/** The share of a block's output that is added to its input. */
const share = 0.2;
const activation = "leaky_relu";

/** Five convolutions, each of which sees what all before it made (`ResidualDenseBlock` in BasicSR's rrdbnet_arch.py). */
class DenseBlock {
  readonly convs: readonly Conv2d[]; //       conv1 .. conv5
  readonly shortcut: Conv2d | undefined; //   conv1x1, of ESRGAN+ (Rakotonirina & Rasoanaivo 2020)

  constructor(weights: Weights) {
    this.convs = [1, 2, 3, 4, 5].map((j) => new Conv2d(weights.at(`conv${j}`)));
    this.shortcut = weights.has("conv1x1.weight") ? new Conv2d(weights.at("conv1x1"), { bias: false }) : undefined;
  }

  /** x [1, H, W, C] -> [1, H, W, C] */
  forward(x: Tensor): Tensor {
    const [conv1, conv2, conv3, conv4, conv5] = this.convs as [Conv2d, Conv2d, Conv2d, Conv2d, Conv2d];
    return x.device.scope(() => {
      const x1 = conv1.forward(x, { activation }); //                                                 [1, H, W, G]
      const seen1 = concat(x, x1); //                                                                 [1, H, W, C + G]
      const x2 = conv2.forward(seen1, { activation, residual: this.shortcut?.forward(x) });
      const seen2 = joined(seen1, x2); //                                                             [1, H, W, C + 2G]
      const seen3 = joined(seen2, conv3.forward(seen2, { activation }));
      const seen4 = joined(seen3, conv4.forward(seen3, { activation, residual: this.shortcut && x2 })); // [1, H, W, C + 4G]
      return added(x, conv5.forward(seen4));
    });
  }
}

/** Three dense blocks and a shortcut around them. */
class ResidualBlock {
  readonly dense: readonly DenseBlock[]; // rdb1, rdb2, rdb3

  constructor(weights: Weights) {
    this.dense = [1, 2, 3].map((i) => new DenseBlock(weights.at(`rdb${i}`)));
  }

  forward(x: Tensor): Tensor {
    return x.device.scope(() =>
      added(
        x,
        chain(
          x,
          this.dense.map((block) => (h: Tensor) => block.forward(h)),
        ),
      ),
    );
  }
}

/** ESRGAN's generator (Wang et al. 2018; `RRDBNet` in BasicSR). */
export class RrdbNet {
  readonly convFirst: Conv2d; //              conv_first
  readonly body: readonly ResidualBlock[]; // body.N
  readonly convBody: Conv2d; //               conv_body
  readonly ups: readonly Conv2d[]; //         conv_up1, ...
  readonly convHr: Conv2d; //                 conv_hr
  readonly convLast: Conv2d; //               conv_last

  constructor(weights: Weights, { blocks, doublings }: RrdbStructure) {
    this.convFirst = new Conv2d(weights.at("conv_first"));
    this.body = Array.from({ length: blocks }, (_, n) => new ResidualBlock(weights.at(`body.${n}`)));
    this.convBody = new Conv2d(weights.at("conv_body"));
    this.ups = Array.from({ length: doublings }, (_, i) => new Conv2d(weights.at(`conv_up${i + 1}`), { upsample: true }));
    this.convHr = new Conv2d(weights.at("conv_hr"));
    this.convLast = new Conv2d(weights.at("conv_last"));
  }

  /** image [1, H, W, 4], RGB in [0, 1] (or 3 u^2 channels of u x u pixels, padded) -> [1, 2^doublings H, ..., 3 + 1] */
  forward(image: Tensor): Tensor {
    return image.device.scope(() => {
      const first = this.convFirst.forward(image); //                                  [1, H, W, C]
      const deep = chain(
        first,
        this.body.map((block) => (h: Tensor) => block.forward(h)),
      );
      const trunk = this.convBody.forward(deep, { residual: first }); //               [1, H, W, C]
      first.free();
      if (deep !== first) deep.free();
      return chain(trunk, [
        ...this.ups.map((up) => (h: Tensor) => up.forward(h, { activation })), //      [1, 2H, 2W, C], ...
        (h) => this.convHr.forward(h, { activation }),
        (h) => this.convLast.forward(h),
      ]);
    });
  }
}

/** x + 0.2 y */
function added(x: Tensor, y: Tensor): Tensor {
  return combine([
    [1, x],
    [share, y],
  ]);
}

/** The maps side by side; the first is given back, as nothing else looks at it. */
function joined(seen: Tensor, next: Tensor): Tensor {
  const both = concat(seen, next);
  seen.free();
  return both;
}
