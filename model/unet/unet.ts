import type { Tensor } from "../../engine/index.ts";
import { add, silu } from "../../kernels/index.ts";
import { attentionHeads, type InputBlock, type OutputBlock, type UNetConfig } from "../checkpoint/config.ts";
import type { RowReader, Weights } from "../checkpoint/weights.ts";
import { Conv2d, GroupNorm, Linear, tap } from "../layers.ts";
import type { KeyValue } from "./attention.ts";
import type { ContextChanges } from "./context-change.ts";
import { ResBlock } from "./res-block.ts";
import { downsample, SpatialTransformer, upsample } from "./spatial-transformer.ts";
import { TimeColumns } from "./time-columns.ts";

/** One entry of input_blocks or output_blocks: the layers it has, applied in this order. */
interface Block {
  readonly path: string;
  readonly conv?: Conv2d | undefined; // input_blocks.0.0, and a level's Downsample
  readonly res?: ResBlock | undefined;
  readonly transformer?: SpatialTransformer | undefined;
  readonly upsample?: Conv2d | undefined;
}

/** Keys and values of every cross-attention, in the order of the blocks: what a prompt comes to for the U-Net. */
export type Conditioning = readonly (readonly KeyValue[])[];

/**
 * The denoising U-Net (Ronneberger et al. 2015; Rombach et al. 2022). Down through `inputBlocks`, across `middle`, up through
 * `outputBlocks`, each of which also takes the map that its mirror image on the way down left.
 * Source: `UNetModel` in ldm/modules/diffusionmodules/openaimodel.py.
 */
export class UNet {
  readonly config: UNetConfig;
  readonly timeEmbed: readonly [Linear, Linear]; // time_embed.0, time_embed.2
  readonly guidanceProjection: RowReader | undefined; // time_embedding.cond_proj (LCM), applied on the CPU
  readonly labelEmbed: readonly [Linear, Linear] | undefined; // label_emb.0.0, label_emb.0.2 (SDXL)
  readonly timeColumns: TimeColumns; //                  every block's emb_layers.1
  readonly inputBlocks: readonly Block[];
  readonly middle: readonly [ResBlock, SpatialTransformer | undefined, ResBlock]; // middle_block.0, .1, .2
  readonly outputBlocks: readonly Block[];
  readonly normOut: GroupNorm; // out.0
  readonly convOut: Conv2d; //    out.2
  readonly path: string;
  /** Hypernetworks; what is already recorded keeps those that it was recorded with. */
  contextChanges: ContextChanges | undefined;

  constructor(weights: Weights, config: UNetConfig) {
    this.path = weights.path;
    this.config = config;
    this.timeEmbed = [new Linear(weights.at("time_embed.0")), new Linear(weights.at("time_embed.2"))];
    this.guidanceProjection = config.guidanceDim === undefined ? undefined : weights.rows("time_embedding.cond_proj.weight");
    this.labelEmbed =
      config.admChannels === undefined
        ? undefined
        : [new Linear(weights.at("label_emb.0.0")), new Linear(weights.at("label_emb.0.2"))];
    this.timeColumns = new TimeColumns(weights);
    this.inputBlocks = config.inputBlocks.map((block) => inputBlock(weights, config, block, this.timeColumns));
    const { channels, depth } = config.middle;
    const middle = weights.at("middle_block");
    this.middle = [
      new ResBlock(middle.at("0"), config.normGroups, this.timeColumns),
      transformer(middle.at("1"), config, channels, depth),
      new ResBlock(middle.at(depth > 0 ? "2" : "1"), config.normGroups, this.timeColumns),
    ];
    this.outputBlocks = config.outputBlocks.map((block) => outputBlock(weights, config, block, this.timeColumns));
    this.timeColumns.load();
    this.normOut = new GroupNorm(weights.at("out.0"), config.normGroups, 1e-5);
    this.convOut = new Conv2d(weights.at("out.2"));
  }

  /** context [N, S, D] -> the keys and values of all cross-attentions. Once a prompt. */
  prepare(context: Tensor): Conditioning {
    return this.#transformers().map((module) => module.prepare(context, this.contextChanges));
  }

  /**
   * x [N, H, W, Cin], time [N, modelChannels] (timestepEmbedding), conditioning of the prompt, vector [N, adm] (SDXL)
   * -> [N, H, W, 4]: eps or v, as the checkpoint was trained.
   */
  forward(x: Tensor, time: Tensor, conditioning: Conditioning, vector?: Tensor): Tensor {
    return x.device.scope(() => {
      const keyValues = new Map(this.#transformers().map((module, i) => [module, conditioning[i]!]));
      const projected = this.timeColumns.forward(this.#embed(time, vector)); // [N, sum of the blocks' channels]
      const skips: Tensor[] = [];
      let h = x;
      for (const block of this.inputBlocks) {
        h = this.#run(block, h, projected, keyValues);
        skips.push(h);
      }
      const [first, attend, second] = this.middle;
      h = first.forward(h, projected);
      if (attend) h = attend.forward(h, keyValues.get(attend)!, this.contextChanges);
      h = tap(`${this.path}.middle_block`, second.forward(h, projected));
      for (const block of this.outputBlocks) {
        const skip = skips.pop()!;
        const next = this.#run(block, h, projected, keyValues, { beside: skip, meets: skips.at(-1) });
        for (const tensor of [h, skip]) tensor.free();
        h = next;
      }
      return this.convOut.forward(this.normOut.forward(h, { silu: true })); // [N, H, W, 4]
    });
  }

  /** silu(time_embed(time) + label_emb(vector)); one kernel less where nobody looks at the sum itself. */
  #embed(time: Tensor, vector: Tensor | undefined): Tensor {
    const [first, second] = this.timeEmbed;
    if (!time.device.observer && !this.labelEmbed)
      return second.forward(first.forward(time, { activation: "silu" }), { activation: "silu" });
    const emb = tap(`${this.path}.time_embed`, second.forward(first.forward(time, { activation: "silu" })));
    if (!this.labelEmbed || !vector) return silu(emb);
    const [label1, label2] = this.labelEmbed;
    return silu(add(emb, tap(`${this.path}.label_emb`, label2.forward(label1.forward(vector, { activation: "silu" })))));
  }

  /**
   * `beside`: what the block takes along with x, side by side. An upsampler goes to the size of the map that it will `meet`: twice its
   * own, or one less where that was odd.
   */
  #run(
    block: Block,
    x: Tensor,
    time: Tensor,
    keyValues: ReadonlyMap<SpatialTransformer, readonly KeyValue[]>,
    { beside, meets }: { beside?: Tensor; meets?: Tensor | undefined } = {},
  ): Tensor {
    return x.device.scope(() => {
      let h = block.conv?.forward(x) ?? x;
      if (block.res) h = beside ? block.res.forwardOfTwo(h, beside, time) : block.res.forward(h, time);
      if (block.transformer) h = block.transformer.forward(h, keyValues.get(block.transformer)!, this.contextChanges);
      if (block.upsample) h = block.upsample.forward(h, {}, meets && { height: meets.shape[1]!, width: meets.shape[2]! });
      return tap(block.path, h);
    });
  }

  #transformers(): SpatialTransformer[] {
    const blocks = [
      ...this.inputBlocks.map((b) => b.transformer),
      this.middle[1],
      ...this.outputBlocks.map((b) => b.transformer),
    ];
    return blocks.filter((module) => module !== undefined);
  }
}

function transformer(weights: Weights, config: UNetConfig, channels: number, depth: number): SpatialTransformer | undefined {
  if (depth === 0) return undefined;
  return new SpatialTransformer(weights, { depth, heads: attentionHeads(config, channels).heads, normGroups: config.normGroups });
}

function inputBlock(weights: Weights, config: UNetConfig, block: InputBlock, time: TimeColumns): Block {
  const at = weights.at(block.path);
  if (block.kind === "conv") return { path: at.path, conv: new Conv2d(at.at("0")) };
  if (block.kind === "down") return { path: at.path, conv: downsample(at.at("0")) };
  return {
    path: at.path,
    res: new ResBlock(at.at("0"), config.normGroups, time),
    transformer: transformer(at.at("1"), config, block.channels, block.depth),
  };
}

function outputBlock(weights: Weights, config: UNetConfig, block: OutputBlock, time: TimeColumns): Block {
  const at = weights.at(block.path);
  return {
    path: at.path,
    res: new ResBlock(at.at("0"), config.normGroups, time),
    transformer: transformer(at.at("1"), config, block.channels, block.depth),
    upsample: block.upsample === undefined ? undefined : upsample(weights.at(block.upsample)),
  };
}
