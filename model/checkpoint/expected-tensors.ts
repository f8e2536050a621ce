/**
 * @file The tensors that a configuration implies, block by block, against those in the file. The configuration was read from a
 * few of them; this finds those that are missing, and those that don't go with the others: two models merged by hand, a damaged or
 * mislabelled file.
 */
import { ModelFileError } from "../../engine/errors.ts";
import { missing } from "./checkpoint-errors.ts";
import type { ModelConfig, TextConfig, UNetConfig, VaeConfig } from "./config.ts";
import { familyNearness } from "./family-nearness.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { below } from "./structure-vae.ts";

/** Notes a tensor's name and its shape; 1x1 convolutions may be written as matrices. */
type Note = (name: string, ...shape: readonly number[]) => void;

interface Expect {
  /** The tensor must be there. */
  readonly need: Note;
  /** The tensor, if it is there, must have this shape. */
  readonly allow: Note;
}

interface Mismatch {
  readonly name: string;
  readonly found: readonly number[];
  readonly expected: readonly number[];
}

/**
 * Compares every tensor of the U-Net, the VAE and the text encoders with the configuration. The VAE's encoder may be missing.
 * @param vaeFile the file that the VAE is in, which may be the same
 * @throws ModelFileError CHECKPOINT_MISSING, naming the family; CHECKPOINT_SHAPE, saying what the file looks like
 */
export function expectTensors(file: SafetensorsFile, vaeFile: SafetensorsFile, config: ModelConfig): void {
  const absent = new Map<SafetensorsFile, string[]>([file, vaeFile].map((one) => [one, []]));
  const mismatches: Mismatch[] = [];
  const expectAt = (prefix: string, where = file): Expect => {
    const note = (name: string, expected: readonly number[], needed: boolean): void => {
      const full = below(prefix, name);
      const found = where.tensors.get(full)?.shape;
      if (found === undefined && needed) absent.get(where)?.push(full);
      if (found !== undefined && !same(found, expected)) mismatches.push({ name: full, found, expected });
    };
    return {
      need: (name, ...shape) => note(name, shape, true),
      allow: (name, ...shape) => note(name, shape, false),
    };
  };
  expectUNet(config.unet, expectAt(config.unet.prefix));
  expectVae(config.vae, config.unet.outChannels, expectAt(config.vae.prefix, vaeFile));
  for (const text of config.text) expectText(text, expectAt(text.prefix));
  // Before shapes: those that follow from a missing tensor are not known.
  for (const [where, names] of absent) {
    if (names.length === 0) continue;
    const isVae = where !== file;
    throw missing(where.source.name, names, isVae ? "VAE" : config.family, isVae ? undefined : familyNearness(file));
  }
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
  const { need } = expect;
  linear(need, "time_embed.0", unet.modelChannels, unet.timeDim);
  linear(need, "time_embed.2", unet.timeDim, unet.timeDim);
  if (unet.admChannels !== undefined) linear(need, "label_emb.0.0", unet.admChannels, unet.timeDim);
  if (unet.admChannels !== undefined) linear(need, "label_emb.0.2", unet.timeDim, unet.timeDim);
  if (unet.guidanceDim !== undefined) need("time_embedding.cond_proj.weight", unet.modelChannels, unet.guidanceDim);
  const skips: number[] = [];
  let channels = unet.inChannels;
  for (const block of unet.inputBlocks) {
    if (block.kind === "conv") conv(need, `${block.path}.0`, channels, block.channels, 3);
    else if (block.kind === "down") conv(need, `${block.path}.0.op`, channels, block.channels, 3);
    else {
      resBlock(expect, `${block.path}.0`, channels, block.channels, unet.timeDim);
      transformer(need, `${block.path}.1`, block.channels, block.depth, unet.contextDim);
    }
    channels = block.channels;
    skips.push(channels);
  }
  resBlock(expect, "middle_block.0", channels, channels, unet.timeDim);
  transformer(need, "middle_block.1", channels, unet.middle.depth, unet.contextDim);
  resBlock(expect, unet.middle.depth > 0 ? "middle_block.2" : "middle_block.1", channels, channels, unet.timeDim);
  for (const block of unet.outputBlocks) {
    resBlock(expect, `${block.path}.0`, channels + (skips.pop() ?? 0), block.channels, unet.timeDim);
    transformer(need, `${block.path}.1`, block.channels, block.depth, unet.contextDim);
    if (block.upsample !== undefined) conv(need, block.upsample, block.channels, block.channels, 3);
    channels = block.channels;
  }
  norm(need, "out.0", channels);
  conv(need, "out.2", channels, unet.outChannels, 3);
}

function resBlock(expect: Expect, path: string, inputs: number, outputs: number, time: number): void {
  const { need } = expect;
  norm(need, `${path}.in_layers.0`, inputs);
  conv(need, `${path}.in_layers.2`, inputs, outputs, 3);
  linear(need, `${path}.emb_layers.1`, time, outputs);
  norm(need, `${path}.out_layers.0`, outputs);
  conv(need, `${path}.out_layers.3`, outputs, outputs, 3);
  conv(shortcut(expect, inputs, outputs), `${path}.skip_connection`, inputs, outputs, 1);
}

/** Where a block's channels change, its input goes around it through a convolution. */
function shortcut({ need, allow }: Expect, inputs: number, outputs: number): Note {
  return inputs > 0 && outputs > 0 && inputs !== outputs ? need : allow;
}

function transformer(need: Note, path: string, width: number, depth: number, context: number): void {
  if (depth === 0) return;
  norm(need, `${path}.norm`, width);
  linear(need, `${path}.proj_in`, width, width);
  linear(need, `${path}.proj_out`, width, width);
  for (let n = 0; n < depth; n++) {
    const block = `${path}.transformer_blocks.${n}`;
    for (const name of ["norm1", "norm2", "norm3"]) norm(need, `${block}.${name}`, width);
    for (const [attention, inputs] of [
      ["attn1", width],
      ["attn2", context],
    ] as const) {
      need(`${block}.${attention}.to_q.weight`, width, width);
      need(`${block}.${attention}.to_k.weight`, width, inputs);
      need(`${block}.${attention}.to_v.weight`, width, inputs);
      linear(need, `${block}.${attention}.to_out.0`, width, width);
    }
    linear(need, `${block}.ff.net.0.proj`, width, 8 * width);
    linear(need, `${block}.ff.net.2`, 4 * width, width);
  }
}

/** The VAE's latent has the channels that the U-Net predicts. */
function expectVae(vae: VaeConfig, latentChannels: number, expect: Expect): void {
  const { need, allow } = expect;
  const widths = vae.chMult.map((mult) => mult * vae.ch);
  const last = widths.at(-1) ?? vae.ch;
  conv(need, "post_quant_conv", latentChannels, vae.zChannels, 1);
  conv(allow, "quant_conv", 2 * vae.zChannels, 2 * latentChannels, 1);
  conv(need, "decoder.conv_in", vae.zChannels, last, 3);
  conv(allow, "encoder.conv_in", 3, vae.ch, 3);
  // Pictures from prompts need no encoder.
  const halves = { encoder: { need: allow, allow }, decoder: expect };
  for (const [half, expectHalf] of Object.entries(halves)) {
    vaeBlock(expectHalf, `${half}.mid.block_1`, last, last);
    vaeBlock(expectHalf, `${half}.mid.block_2`, last, last);
    norm(expectHalf.need, `${half}.mid.attn_1.norm`, last);
    for (const name of ["q", "k", "v", "proj_out"]) conv(expectHalf.need, `${half}.mid.attn_1.${name}`, last, last, 1);
  }
  for (const [level, width] of widths.entries()) {
    for (let n = 0; n <= vae.numResBlocks; n++) {
      const [before = vae.ch, after = last] = [widths[level - 1], widths[level + 1]];
      vaeBlock(halves.encoder, `encoder.down.${level}.block.${n}`, n === 0 ? before : width, width);
      vaeBlock(halves.decoder, `decoder.up.${level}.block.${n}`, n === 0 ? after : width, width);
    }
    conv(allow, `encoder.down.${level}.downsample.conv`, width, width, 3);
    conv(level > 0 ? need : allow, `decoder.up.${level}.upsample.conv`, width, width, 3);
  }
  norm(allow, "encoder.norm_out", last);
  conv(allow, "encoder.conv_out", last, 2 * vae.zChannels, 3);
  norm(need, "decoder.norm_out", widths[0] ?? vae.ch);
  conv(need, "decoder.conv_out", widths[0] ?? vae.ch, 3, 3);
}

function vaeBlock(expect: Expect, path: string, inputs: number, outputs: number): void {
  const { need } = expect;
  norm(need, `${path}.norm1`, inputs);
  conv(need, `${path}.conv1`, inputs, outputs, 3);
  norm(need, `${path}.norm2`, outputs);
  conv(need, `${path}.conv2`, outputs, outputs, 3);
  conv(shortcut(expect, inputs, outputs), `${path}.nin_shortcut`, inputs, outputs, 1);
}

function expectText(text: TextConfig, { need }: Expect): void {
  const { width, mlp } = text;
  const isClip = text.kind === "clip";
  need(isClip ? "embeddings.token_embedding.weight" : "token_embedding.weight", text.vocabulary, width);
  need(isClip ? "embeddings.position_embedding.weight" : "positional_embedding", text.positions, width);
  if (text.pooled) need(isClip ? "text_projection.weight" : "text_projection", width, width);
  for (let n = 0; n < text.layers; n++) {
    const layer = isClip ? `encoder.layers.${n}` : `transformer.resblocks.${n}`;
    const attention = isClip ? `${layer}.self_attn` : `${layer}.attn`;
    for (const name of isClip ? ["layer_norm1", "layer_norm2"] : ["ln_1", "ln_2"]) norm(need, `${layer}.${name}`, width);
    for (const name of isClip ? ["q_proj", "k_proj", "v_proj"] : []) linear(need, `${attention}.${name}`, width, width);
    if (!isClip) need(`${attention}.in_proj_weight`, 3 * width, width);
    if (!isClip) need(`${attention}.in_proj_bias`, 3 * width);
    linear(need, `${attention}.out_proj`, width, width);
    linear(need, `${layer}.mlp.${isClip ? "fc1" : "c_fc"}`, width, mlp);
    linear(need, `${layer}.mlp.${isClip ? "fc2" : "c_proj"}`, mlp, width);
  }
  norm(need, isClip ? "final_layer_norm" : "ln_final", width);
}

function norm(note: Note, path: string, width: number): void {
  note(`${path}.weight`, width);
  note(`${path}.bias`, width);
}

function linear(note: Note, path: string, inputs: number, outputs: number): void {
  note(`${path}.weight`, outputs, inputs);
  note(`${path}.bias`, outputs);
}

function conv(note: Note, path: string, inputs: number, outputs: number, size: 1 | 3): void {
  if (size === 1) note(`${path}.weight`, outputs, inputs);
  else note(`${path}.weight`, outputs, inputs, size, size);
  note(`${path}.bias`, outputs);
}
