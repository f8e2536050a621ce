/**
 * @file diffusers' names for the U-Net's modules: add-ons are mostly trained on those, whatever names the model's own file has.
 * The way back from model/checkpoint/diffusers-names.ts, along the blocks that the model has.
 */
import type { UNetConfig } from "../checkpoint/config.ts";

const resBlockNames: readonly (readonly [string, string])[] = [
  ["in_layers.0", "norm1"],
  ["in_layers.2", "conv1"],
  ["emb_layers.1", "time_emb_proj"],
  ["out_layers.0", "norm2"],
  ["out_layers.3", "conv2"],
  ["skip_connection", "conv_shortcut"],
];

/** The beginning of modules' paths below the U-Net, original and diffusers'. */
export function unetAliases(config: UNetConfig): readonly (readonly [original: string, diffusers: string])[] {
  const pairs: [string, string][] = [
    ["time_embed.0", "time_embedding.linear_1"],
    ["time_embed.2", "time_embedding.linear_2"],
    ["label_emb.0.0", "add_embedding.linear_1"],
    ["label_emb.0.2", "add_embedding.linear_2"],
    ["out.0", "conv_norm_out"],
    ["out.2", "conv_out"],
  ];
  const res = (original: string, diffusers: string) =>
    pairs.push(...resBlockNames.map(([from, to]): [string, string] => [`${original}.${from}`, `${diffusers}.${to}`]));
  let [level, layer] = [0, 0];
  for (const block of config.inputBlocks) {
    if (block.kind === "conv") {
      pairs.push([`${block.path}.0`, "conv_in"]);
    } else if (block.kind === "down") {
      pairs.push([`${block.path}.0.op`, `down_blocks.${level}.downsamplers.0.conv`]);
      [level, layer] = [level + 1, 0];
    } else {
      res(`${block.path}.0`, `down_blocks.${level}.resnets.${layer}`);
      if (block.depth > 0) pairs.push([`${block.path}.1`, `down_blocks.${level}.attentions.${layer}`]);
      layer++;
    }
  }
  const attends = config.middle.depth > 0;
  res("middle_block.0", "mid_block.resnets.0");
  if (attends) pairs.push(["middle_block.1", "mid_block.attentions.0"]);
  res(`middle_block.${attends ? 2 : 1}`, "mid_block.resnets.1");
  [level, layer] = [0, 0];
  for (const block of config.outputBlocks) {
    res(`${block.path}.0`, `up_blocks.${level}.resnets.${layer}`);
    if (block.depth > 0) pairs.push([`${block.path}.1`, `up_blocks.${level}.attentions.${layer}`]);
    layer++;
    if (block.upsample === undefined) continue;
    pairs.push([block.upsample, `up_blocks.${level}.upsamplers.0.conv`]);
    [level, layer] = [level + 1, 0];
  }
  return pairs;
}
