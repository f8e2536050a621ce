import type { Tensor } from "../../engine/index.ts";
import { prelu } from "../../kernels/index.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { Conv2d, chain } from "../layers.ts";
import type { SrvggStructure } from "./structure.ts";

/** Real-ESRGAN's small network (`SRVGGNetCompact` in BasicSR's srvgg_arch.py), up to its pixel shuffle. */
export class SrvggNet {
  readonly convs: readonly Conv2d[]; //  body.0, body.2, ...
  readonly slopes: readonly Tensor[]; // body.1, body.3, ...

  constructor(weights: Weights, { convolutions }: SrvggStructure) {
    this.convs = Array.from({ length: convolutions }, (_, i) => new Conv2d(weights.at(`body.${2 * i}`)));
    this.slopes = Array.from({ length: convolutions - 1 }, (_, i) => weights.vector(`body.${2 * i + 1}.weight`));
  }

  /** image [1, H, W, 4], RGB in [0, 1] -> [1, H, W, 3 scale^2] (padded to fours): what is to be added to the picture, shuffled */
  forward(image: Tensor): Tensor {
    return image.device.scope(() =>
      chain(
        image,
        this.convs.flatMap((conv, i) => {
          const slopes = this.slopes[i];
          return [(h: Tensor) => conv.forward(h), ...(slopes ? [(h: Tensor) => prelu(h, slopes)] : [])];
        }),
      ),
    );
  }
}
