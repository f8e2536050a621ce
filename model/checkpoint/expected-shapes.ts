/**
 * @file The shapes that a configuration implies, block by block, against those in the file. The configuration was read from a
 * few tensors; this finds the others that don't go with them: two models merged by hand, a damaged or mislabelled file.
 */
import { ModelFileError } from "../../engine/errors.ts";
import type { ModelConfig, TextConfig, UNetConfig, VaeConfig } from "./config.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { below } from "./structure-vae.ts";

/** Notes that a tensor, if it is there, must have this shape; 1x1 convolutions may be written as matrices. */
type Expect = (name: string, ...shape: readonly number[]) => void;

interface Mismatch {
  readonly name: string;
  readonly found: readonly number[];
  readonly expected: readonly number[];
}

/**
 * Compares every tensor of the U-Net, the VAE and the text encoders' layers with the configuration.
 * @param vaeFile the file that the VAE is in, which may be the same
 * @throws ModelFileError CHECKPOINT_SHAPE, saying what the file looks like
 */
export function expectShapes(file: SafetensorsFile, vaeFile: SafetensorsFile, config: ModelConfig): void {
  const mismatches: Mismatch[] = [];
  const expectAt =
    (prefix: string, where = file): Expect =>
    (name, ...expected) => {
      const full = below(prefix, name);
      const found = where.tensors.get(full)?.shape;
      if (found === undefined || same(found, expected)) return;
      mismatches.push({ name: full, found, expected });
    };
  expectUNet(config.unet, expectAt(config.unet.prefix));
  expectVae(config.vae, config.unet.outChannels, expectAt(config.vae.prefix, vaeFile));
  for (const text of config.text) expectText(text, expectAt(text.prefix));
  const context = config.text.reduce((sum, { width }) => sum + width, 0);
  if (mismatches.length === 0 && context === config.unet.contextDim) return;
  const [first] = mismatches;
  const fact =
    first === undefined
      ? `the text encoders give ${context} channels, the U-Net takes a context of ${config.unet.contextDim}`
      : `tensor "${printable(first.name)}" is [${first.found}], expected [${first.expected}]${others(mismatches.length - 1)}`;
  throw new ModelFileError("CHECKPOINT_SHAPE", `${file.source.name}: ${fact}`, {
    hint: `by its other tensors it looks like ${describe(config)}: it is damaged, or put together from two models`,
    context: { file: file.source.name, family: config.family, mismatches: mismatches.slice(0, 10) },
  });
}

const others = (count: number): string => (count === 0 ? "" : ` (and ${count} more)`);

function describe(config: ModelConfig): string {
  const families = {
    sd1: "Stable Diffusion 1.x",
    sd2: "Stable Diffusion 2.x",
    sdxl: "Stable Diffusion XL",
    "sdxl-refiner": "the XL refiner",
  };
  const variant = config.variant === "base" ? "" : ` (${config.variant})`;
  return `${families[config.family]}${variant} with ${config.unet.modelChannels} channels and a context of ${config.unet.contextDim}`;
}

function same(found: readonly number[], expected: readonly number[]): boolean {
  const isPointwise = found.length === 4 && found[2] === 1 && found[3] === 1 && expected.length === 2;
  return (isPointwise || found.length === expected.length) && expected.every((size, axis) => size === found[axis]);
}

function expectUNet(unet: UNetConfig, expect: Expect): void {
  linear(expect, "time_embed.0", unet.modelChannels, unet.timeDim);
  linear(expect, "time_embed.2", unet.timeDim, unet.timeDim);
  if (unet.admChannels !== undefined) linear(expect, "label_emb.0.0", unet.admChannels, unet.timeDim);
  if (unet.admChannels !== undefined) linear(expect, "label_emb.0.2", unet.timeDim, unet.timeDim);
  if (unet.guidanceDim !== undefined) expect("time_embedding.cond_proj.weight", unet.modelChannels, unet.guidanceDim);
  const skips: number[] = [];
  let channels = unet.inChannels;
  for (const block of unet.inputBlocks) {
    if (block.kind === "conv") conv(expect, `${block.path}.0`, channels, block.channels, 3);
    else if (block.kind === "down") conv(expect, `${block.path}.0.op`, channels, block.channels, 3);
    else {
      resBlock(expect, `${block.path}.0`, channels, block.channels, unet.timeDim);
      transformer(expect, `${block.path}.1`, block.channels, block.depth, unet.contextDim);
    }
    channels = block.channels;
    skips.push(channels);
  }
  resBlock(expect, "middle_block.0", channels, channels, unet.timeDim);
  transformer(expect, "middle_block.1", channels, unet.middle.depth, unet.contextDim);
  resBlock(expect, "middle_block.2", channels, channels, unet.timeDim);
  for (const block of unet.outputBlocks) {
    resBlock(expect, `${block.path}.0`, channels + (skips.pop() ?? 0), block.channels, unet.timeDim);
    transformer(expect, `${block.path}.1`, block.channels, block.depth, unet.contextDim);
    if (block.upsample !== undefined) conv(expect, block.upsample, block.channels, block.channels, 3);
    channels = block.channels;
  }
  norm(expect, "out.0", channels);
  conv(expect, "out.2", channels, unet.outChannels, 3);
}

function resBlock(expect: Expect, path: string, inputs: number, outputs: number, time: number): void {
  norm(expect, `${path}.in_layers.0`, inputs);
  conv(expect, `${path}.in_layers.2`, inputs, outputs, 3);
  linear(expect, `${path}.emb_layers.1`, time, outputs);
  norm(expect, `${path}.out_layers.0`, outputs);
  conv(expect, `${path}.out_layers.3`, outputs, outputs, 3);
  conv(expect, `${path}.skip_connection`, inputs, outputs, 1);
}

function transformer(expect: Expect, path: string, width: number, depth: number, context: number): void {
  if (depth === 0) return;
  norm(expect, `${path}.norm`, width);
  linear(expect, `${path}.proj_in`, width, width);
  linear(expect, `${path}.proj_out`, width, width);
  for (let n = 0; n < depth; n++) {
    const block = `${path}.transformer_blocks.${n}`;
    for (const name of ["norm1", "norm2", "norm3"]) norm(expect, `${block}.${name}`, width);
    for (const [attention, inputs] of [
      ["attn1", width],
      ["attn2", context],
    ] as const) {
      linear(expect, `${block}.${attention}.to_q`, width, width);
      linear(expect, `${block}.${attention}.to_k`, inputs, width);
      linear(expect, `${block}.${attention}.to_v`, inputs, width);
      linear(expect, `${block}.${attention}.to_out.0`, width, width);
    }
    linear(expect, `${block}.ff.net.0.proj`, width, 8 * width);
    linear(expect, `${block}.ff.net.2`, 4 * width, width);
  }
}

/** The VAE's latent has the channels that the U-Net predicts. */
function expectVae(vae: VaeConfig, latentChannels: number, expect: Expect): void {
  const widths = vae.chMult.map((mult) => mult * vae.ch);
  const last = widths.at(-1) ?? vae.ch;
  conv(expect, "post_quant_conv", latentChannels, vae.zChannels, 1);
  conv(expect, "quant_conv", 2 * vae.zChannels, 2 * latentChannels, 1);
  conv(expect, "decoder.conv_in", vae.zChannels, last, 3);
  conv(expect, "encoder.conv_in", 3, vae.ch, 3);
  for (const half of ["encoder", "decoder"]) {
    vaeBlock(expect, `${half}.mid.block_1`, last, last);
    vaeBlock(expect, `${half}.mid.block_2`, last, last);
    norm(expect, `${half}.mid.attn_1.norm`, last);
    for (const name of ["q", "k", "v", "proj_out"]) conv(expect, `${half}.mid.attn_1.${name}`, last, last, 1);
  }
  for (const [level, width] of widths.entries()) {
    for (let n = 0; n <= vae.numResBlocks; n++) {
      const [before = vae.ch, after = last] = [widths[level - 1], widths[level + 1]];
      vaeBlock(expect, `encoder.down.${level}.block.${n}`, n === 0 ? before : width, width);
      vaeBlock(expect, `decoder.up.${level}.block.${n}`, n === 0 ? after : width, width);
    }
    conv(expect, `encoder.down.${level}.downsample.conv`, width, width, 3);
    conv(expect, `decoder.up.${level}.upsample.conv`, width, width, 3);
  }
  norm(expect, "encoder.norm_out", last);
  conv(expect, "encoder.conv_out", last, 2 * vae.zChannels, 3);
  norm(expect, "decoder.norm_out", widths[0] ?? vae.ch);
  conv(expect, "decoder.conv_out", widths[0] ?? vae.ch, 3, 3);
}

function vaeBlock(expect: Expect, path: string, inputs: number, outputs: number): void {
  norm(expect, `${path}.norm1`, inputs);
  conv(expect, `${path}.conv1`, inputs, outputs, 3);
  norm(expect, `${path}.norm2`, outputs);
  conv(expect, `${path}.conv2`, outputs, outputs, 3);
  conv(expect, `${path}.nin_shortcut`, inputs, outputs, 1);
}

function expectText(text: TextConfig, expect: Expect): void {
  const { width, mlp } = text;
  const isClip = text.kind === "clip";
  for (let n = 0; n < text.layers; n++) {
    const layer = isClip ? `encoder.layers.${n}` : `transformer.resblocks.${n}`;
    const attention = isClip ? `${layer}.self_attn` : `${layer}.attn`;
    for (const name of isClip ? ["layer_norm1", "layer_norm2"] : ["ln_1", "ln_2"]) norm(expect, `${layer}.${name}`, width);
    for (const name of isClip ? ["q_proj", "k_proj", "v_proj"] : []) linear(expect, `${attention}.${name}`, width, width);
    expect(`${attention}.in_proj_weight`, 3 * width, width);
    expect(`${attention}.in_proj_bias`, 3 * width);
    linear(expect, `${attention}.out_proj`, width, width);
    linear(expect, `${layer}.mlp.${isClip ? "fc1" : "c_fc"}`, width, mlp);
    linear(expect, `${layer}.mlp.${isClip ? "fc2" : "c_proj"}`, mlp, width);
  }
  norm(expect, isClip ? "final_layer_norm" : "ln_final", width);
}

function norm(expect: Expect, path: string, width: number): void {
  expect(`${path}.weight`, width);
  expect(`${path}.bias`, width);
}

function linear(expect: Expect, path: string, inputs: number, outputs: number): void {
  expect(`${path}.weight`, outputs, inputs);
  expect(`${path}.bias`, outputs);
}

function conv(expect: Expect, path: string, inputs: number, outputs: number, size: 1 | 3): void {
  if (size === 1) expect(`${path}.weight`, outputs, inputs);
  else expect(`${path}.weight`, outputs, inputs, size, size);
  expect(`${path}.bias`, outputs);
}
