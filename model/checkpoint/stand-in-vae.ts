/** @file Tensors of the autoencoder that all families share, under the names of CompVis `ldm/modules/diffusionmodules/model.py`. */
import type { TensorList } from "./stand-in-tensors.ts";

const widths = [128, 256, 512, 512] as const;
const first = 128;
const last = 512;
const blocksPerLevel = 2;
const latentChannels = 4;

export function listVae(list: TensorList): void {
  list.conv("quant_conv", 2 * latentChannels, 2 * latentChannels, 1);
  list.conv("post_quant_conv", latentChannels, latentChannels, 1);
  const [encoder, decoder] = [list.at("encoder"), list.at("decoder")];
  encoder.conv("conv_in", 3, first, 3);
  decoder.conv("conv_in", latentChannels, last, 3);
  for (const [level, width] of widths.entries()) {
    for (let n = 0; n < blocksPerLevel; n++) {
      resBlock(encoder.at(`down.${level}.block.${n}`), n === 0 ? (widths[level - 1] ?? first) : width, width);
    }
    for (let n = 0; n <= blocksPerLevel; n++) {
      resBlock(decoder.at(`up.${level}.block.${n}`), n === 0 ? (widths[level + 1] ?? last) : width, width);
    }
    if (level < widths.length - 1) encoder.conv(`down.${level}.downsample.conv`, width, width, 3);
    if (level > 0) decoder.conv(`up.${level}.upsample.conv`, width, width, 3);
  }
  for (const half of [encoder, decoder]) middle(half.at("mid"));
  encoder.norm("norm_out", last);
  encoder.conv("conv_out", last, 2 * latentChannels, 3);
  decoder.norm("norm_out", first);
  decoder.conv("conv_out", first, 3, 3);
}

function middle(list: TensorList): void {
  resBlock(list.at("block_1"), last, last);
  resBlock(list.at("block_2"), last, last);
  list.norm("attn_1.norm", last);
  for (const name of ["q", "k", "v"]) list.conv(`attn_1.${name}`, last, last, 1);
  list.conv("attn_1.proj_out", last, last, 1, "branch");
}

function resBlock(list: TensorList, inputs: number, outputs: number): void {
  list.norm("norm1", inputs);
  list.conv("conv1", inputs, outputs, 3);
  list.norm("norm2", outputs);
  list.conv("conv2", outputs, outputs, 3, "branch");
  if (inputs !== outputs) list.conv("nin_shortcut", inputs, outputs, 1);
}
