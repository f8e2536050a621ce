/** @file Tensors of the autoencoder that all families share, under the names of CompVis `ldm/modules/diffusionmodules/model.py`. */
import type { TensorList } from "./stand-in-tensors.ts";

export interface VaeSizes {
  /** Of the levels, from the picture's own size down. */
  readonly widths: readonly number[];
  /** Residual blocks of a level of the encoder; the decoder's have one more. */
  readonly blocks: number;
}

const usual: VaeSizes = { widths: [128, 256, 512, 512], blocks: 2 };
const latentChannels = 4;

export function listVae(list: TensorList, { widths, blocks }: VaeSizes = usual): void {
  const [first = 0, last = 0] = [widths[0], widths.at(-1)];
  list.conv("quant_conv", 2 * latentChannels, 2 * latentChannels, 1);
  list.conv("post_quant_conv", latentChannels, latentChannels, 1);
  const [encoder, decoder] = [list.at("encoder"), list.at("decoder")];
  encoder.conv("conv_in", 3, first, 3);
  decoder.conv("conv_in", latentChannels, last, 3);
  for (const [level, width] of widths.entries()) {
    for (let n = 0; n < blocks; n++) {
      resBlock(encoder.at(`down.${level}.block.${n}`), n === 0 ? (widths[level - 1] ?? first) : width, width);
    }
    for (let n = 0; n <= blocks; n++) {
      resBlock(decoder.at(`up.${level}.block.${n}`), n === 0 ? (widths[level + 1] ?? last) : width, width);
    }
    if (level < widths.length - 1) encoder.conv(`down.${level}.downsample.conv`, width, width, 3);
    if (level > 0) decoder.conv(`up.${level}.upsample.conv`, width, width, 3);
  }
  for (const half of [encoder, decoder]) middle(half.at("mid"), last);
  encoder.norm("norm_out", last);
  encoder.conv("conv_out", last, 2 * latentChannels, 3);
  decoder.norm("norm_out", first);
  decoder.conv("conv_out", first, 3, 3);
}

function middle(list: TensorList, width: number): void {
  resBlock(list.at("block_1"), width, width);
  resBlock(list.at("block_2"), width, width);
  list.norm("attn_1.norm", width);
  for (const name of ["q", "k", "v"]) list.conv(`attn_1.${name}`, width, width, 1);
  list.conv("attn_1.proj_out", width, width, 1, "branch");
}

function resBlock(list: TensorList, inputs: number, outputs: number): void {
  list.norm("norm1", inputs);
  list.conv("conv1", inputs, outputs, 3);
  list.norm("norm2", outputs);
  list.conv("conv2", outputs, outputs, 3, "branch");
  if (inputs !== outputs) list.conv("nin_shortcut", inputs, outputs, 1);
}
