import type { Tensor } from "../../engine/index.ts";
import type { VaeConfig } from "../checkpoint/config.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { Conv2d, chain, GroupNorm, tap } from "../layers.ts";
import { VaeMiddle, VaeResBlock, vaeNormEps } from "./blocks.ts";

interface Level {
  readonly path: string;
  readonly blocks: readonly VaeResBlock[]; //  up.i.block.j
  readonly upsample: Conv2d | undefined; //    up.i.upsample.conv
}

/** From latent to image. Source: `Decoder` in ldm/modules/diffusionmodules/model.py. */
export class VaeDecoder {
  readonly path: string;
  readonly postQuant: Conv2d; //  post_quant_conv
  readonly convIn: Conv2d; //     decoder.conv_in
  readonly middle: VaeMiddle; //  decoder.mid
  readonly levels: readonly Level[]; // decoder.up, in the order they run: the smallest map first
  readonly normOut: GroupNorm; // decoder.norm_out
  readonly convOut: Conv2d; //    decoder.conv_out

  constructor(weights: Weights, config: VaeConfig) {
    const decoder = weights.at("decoder");
    this.path = decoder.path;
    this.postQuant = new Conv2d(weights.at("post_quant_conv"));
    this.convIn = new Conv2d(decoder.at("conv_in"));
    this.middle = new VaeMiddle(decoder.at("mid"), config.normGroups);
    this.levels = config.chMult.map((_, i) => level(decoder.at(`up.${i}`), config, i)).reverse();
    this.normOut = new GroupNorm(decoder.at("norm_out"), config.normGroups, vaeNormEps);
    this.convOut = new Conv2d(decoder.at("conv_out"));
  }

  /** z [N, H, W, 4], already divided by the scale factor -> image [N, 8H, 8W, 4]: RGB in about [-1, 1] and a channel of padding */
  forward(z: Tensor): Tensor {
    return z.device.scope(() => {
      const modules = this.levels.flatMap(({ path, blocks, upsample }) => [
        ...blocks.map((block) => (h: Tensor) => block.forward(h)),
        ...(upsample ? [(h: Tensor) => tap(`${path}.upsample`, upsample.forward(h))] : []),
      ]);
      return chain(z, [
        (h) => this.postQuant.forward(h), //                             [N, H, W, 4]
        (h) => tap(`${this.path}.conv_in`, this.convIn.forward(h)), //   [N, H, W, C]
        (h) => this.middle.forward(h),
        ...modules, //                                                   [N, 8H, 8W, ch]
        (h) => this.normOut.forward(h, { silu: true }),
        (h) => this.convOut.forward(h), //                               [N, 8H, 8W, 3 + 1]
      ]);
    });
  }
}

function level(weights: Weights, config: VaeConfig, index: number): Level {
  return {
    path: weights.path,
    blocks: Array.from(
      { length: config.numResBlocks + 1 },
      (_, j) => new VaeResBlock(weights.at(`block.${j}`), config.normGroups),
    ),
    upsample: index > 0 ? new Conv2d(weights.at("upsample.conv"), { upsample: true }) : undefined,
  };
}
