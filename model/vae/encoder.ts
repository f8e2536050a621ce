import type { Tensor } from "../../engine/index.ts";
import type { VaeConfig } from "../checkpoint/config.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { Conv2d, chain, GroupNorm, tap } from "../layers.ts";
import { VaeMiddle, VaeResBlock, vaeNormEps } from "./blocks.ts";

interface Level {
  readonly path: string;
  readonly blocks: readonly VaeResBlock[]; //  down.i.block.j
  readonly downsample: Conv2d | undefined; //  down.i.downsample.conv
}

/** From image to the moments of a latent. Source: `Encoder` in ldm/modules/diffusionmodules/model.py. */
export class VaeEncoder {
  readonly path: string;
  readonly convIn: Conv2d; //     encoder.conv_in
  readonly levels: readonly Level[]; // encoder.down
  readonly middle: VaeMiddle; //  encoder.mid
  readonly normOut: GroupNorm; // encoder.norm_out
  readonly convOut: Conv2d; //    encoder.conv_out
  readonly quant: Conv2d; //      quant_conv

  constructor(weights: Weights, config: VaeConfig) {
    const encoder = weights.at("encoder");
    this.path = encoder.path;
    this.convIn = new Conv2d(encoder.at("conv_in"));
    this.levels = config.chMult.map((_, i) => level(encoder.at(`down.${i}`), config, i));
    this.middle = new VaeMiddle(encoder.at("mid"), config.normGroups);
    this.normOut = new GroupNorm(encoder.at("norm_out"), config.normGroups, vaeNormEps);
    this.convOut = new Conv2d(encoder.at("conv_out"));
    this.quant = new Conv2d(weights.at("quant_conv"));
  }

  /** image [N, H, W, 4] (RGB in [-1, 1] and a channel of zeros) -> moments [N, H/8, W/8, 8]: mean, then logvar (clamp it to [-30, 20]) */
  forward(image: Tensor): Tensor {
    return image.device.scope(() => {
      const modules = this.levels.flatMap(({ path, blocks, downsample }) => [
        ...blocks.map((block) => (h: Tensor) => block.forward(h)),
        ...(downsample ? [(h: Tensor) => tap(`${path}.downsample`, downsample.forward(h))] : []),
      ]);
      return chain(image, [
        (h) => tap(`${this.path}.conv_in`, this.convIn.forward(h)), //   [N, H, W, ch]
        ...modules, //                                                   [N, H/8, W/8, C]
        (h) => this.middle.forward(h),
        (h) => this.normOut.forward(h, { silu: true }),
        (h) => tap(this.path, this.convOut.forward(h)), //               [N, H/8, W/8, 8]
        (h) => this.quant.forward(h),
      ]);
    });
  }
}

function level(weights: Weights, config: VaeConfig, index: number): Level {
  const isLast = index === config.chMult.length - 1;
  return {
    path: weights.path,
    blocks: Array.from({ length: config.numResBlocks }, (_, j) => new VaeResBlock(weights.at(`block.${j}`), config.normGroups)),
    // Zeros on the right and below only, as the original pads (0, 1, 0, 1).
    downsample: isLast
      ? undefined
      : new Conv2d(weights.at("downsample.conv"), { stride: 2, padding: { top: 0, left: 0, bottom: 1, right: 1 } }),
  };
}
