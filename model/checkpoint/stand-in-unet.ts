/** @file Tensors of a true-size U-Net, under the names of CompVis `ldm/modules/diffusionmodules/openaimodel.py`. */
import type { TensorList } from "./stand-in-tensors.ts";

export interface UNetSizes {
  readonly channels: number;
  /** Per level: channels / `channels`, and transformer blocks in each attention (0: none). */
  readonly mult: readonly number[];
  readonly depth: readonly number[];
  readonly middleDepth: number;
  readonly context: number;
  /** proj_in and proj_out are 1x1 convolutions (SD 1) or linear layers. */
  readonly projection: "conv" | "linear";
  /** Width of the vector for label_emb (SDXL). */
  readonly adm?: number;
  /** The model predicts the velocity: its last transformer's bias spreads wide. */
  readonly velocity?: boolean;
}

/** Residual blocks a level on the way down; one more on the way up. */
const blocksPerLevel = 2;
const latentChannels = 4;

export function listUNet(list: TensorList, sizes: UNetSizes): void {
  const { channels, mult, depth, middleDepth, adm } = sizes;
  const time = 4 * channels;
  list.linear("time_embed.0", channels, time);
  list.linear("time_embed.2", time, time);
  if (adm !== undefined) {
    list.linear("label_emb.0.0", adm, time);
    list.linear("label_emb.0.2", time, time);
  }
  list.conv("input_blocks.0.0", latentChannels, channels, 3);
  let width = channels;
  let block = 1;
  const skips = [width];
  for (const [level, factor] of mult.entries()) {
    for (let i = 0; i < blocksPerLevel; i++) {
      const at = list.at(`input_blocks.${block++}`);
      resBlock(at.at("0"), width, factor * channels, time);
      width = factor * channels;
      transformer(at.at("1"), sizes, width, depth[level] ?? 0);
      skips.push(width);
    }
    if (level === mult.length - 1) continue;
    list.conv(`input_blocks.${block++}.0.op`, width, width, 3);
    skips.push(width);
  }
  resBlock(list.at("middle_block.0"), width, width, time);
  transformer(list.at("middle_block.1"), sizes, width, middleDepth);
  resBlock(list.at("middle_block.2"), width, width, time);
  block = 0;
  for (const [level, factor] of [...mult.entries()].reverse()) {
    const blocks = depth[level] ?? 0;
    for (let i = 0; i <= blocksPerLevel; i++) {
      const at = list.at(`output_blocks.${block++}`);
      resBlock(at.at("0"), width + (skips.pop() ?? 0), factor * channels, time);
      width = factor * channels;
      const last = level === 0 && i === blocksPerLevel;
      transformer(at.at("1"), sizes, width, blocks, last);
      if (level > 0 && i === blocksPerLevel) at.conv(`${blocks > 0 ? 2 : 1}.conv`, width, width, 3);
    }
  }
  list.norm("out.0", width);
  list.conv("out.2", width, latentChannels, 3);
}

function resBlock(list: TensorList, inputs: number, outputs: number, time: number): void {
  list.norm("in_layers.0", inputs);
  list.conv("in_layers.2", inputs, outputs, 3);
  list.linear("emb_layers.1", time, outputs);
  list.norm("out_layers.0", outputs);
  list.conv("out_layers.3", outputs, outputs, 3, "branch");
  if (inputs !== outputs) list.conv("skip_connection", inputs, outputs, 1);
}

function transformer(list: TensorList, sizes: UNetSizes, width: number, depth: number, last = false): void {
  if (depth === 0) return;
  const { context, projection } = sizes;
  list.norm("norm", width);
  for (const name of ["proj_in", "proj_out"] as const) {
    const role = name === "proj_out" ? "branch" : "matrix";
    if (projection === "conv") list.conv(name, width, width, 1, role);
    else list.linear(name, width, width, role);
  }
  for (let n = 0; n < depth; n++) {
    const block = list.at(`transformer_blocks.${n}`);
    block.norm("norm1", width, sizes.velocity && last ? "wideBias" : "bias");
    block.norm("norm2", width);
    block.norm("norm3", width);
    for (const [attention, inputs] of [
      ["attn1", width],
      ["attn2", context],
    ] as const) {
      block.linear(`${attention}.to_q`, width, width, "matrix", false);
      block.linear(`${attention}.to_k`, inputs, width, "matrix", false);
      block.linear(`${attention}.to_v`, inputs, width, "matrix", false);
      block.linear(`${attention}.to_out.0`, width, width, "branch");
    }
    block.linear("ff.net.0.proj", width, 8 * width);
    block.linear("ff.net.2", 4 * width, width, "branch");
  }
}
