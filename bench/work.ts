/** @file The arithmetic of one U-Net evaluation, from its configuration alone: what the kernels' launches are held against. */
import { attentionHeads, type UNetConfig } from "../model/checkpoint/config.ts";

export interface WorkSize {
  /** Samples; with guidance two. */
  readonly batch: number;
  /** Of the latent. */
  readonly height: number;
  readonly width: number;
  /** Tokens of the context. */
  readonly keys: number;
}

export interface Work {
  /** FLOP (two for a multiply and an add) of each matrix and convolution, by the name of its weight in the file. */
  readonly weights: ReadonlyMap<string, number>;
  /** FLOP of all attentions' scores and sums. */
  readonly attention: number;
  /** Names of `weights` that depend on the prompt alone: keys and values of cross-attention, computed once a picture. */
  readonly prompt: ReadonlySet<string>;
}

/** FLOP of norms, activations and sums are not counted: they are bound by memory. */
export function unetWork(config: UNetConfig, { batch, height, width, keys }: WorkSize): Work {
  const weights = new Map<string, number>();
  const prompt = new Set<string>();
  let attention = 0;
  const note = (path: string, rows: number, inner: number, outputs: number): void => {
    weights.set(`${config.prefix}.${path}.weight`, 2 * batch * rows * inner * outputs);
  };
  let [h, w] = [height, width];

  const resBlock = (path: string, inputs: number, outputs: number): void => {
    note(`${path}.in_layers.2`, h * w, 9 * inputs, outputs);
    note(`${path}.emb_layers.1`, 1, config.timeDim, outputs);
    note(`${path}.out_layers.3`, h * w, 9 * outputs, outputs);
    if (inputs !== outputs) note(`${path}.skip_connection`, h * w, inputs, outputs);
  };
  const transformer = (path: string, channels: number, depth: number): void => {
    if (depth === 0) return;
    const pixels = h * w;
    const { heads, headDim } = attentionHeads(config, channels);
    for (const name of ["proj_in", "proj_out"]) note(`${path}.${name}`, pixels, channels, channels);
    for (let n = 0; n < depth; n++) {
      const block = `${path}.transformer_blocks.${n}`;
      for (const name of ["attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "attn2.to_q", "attn2.to_out.0"])
        note(`${block}.${name}`, pixels, channels, channels);
      for (const name of ["attn2.to_k", "attn2.to_v"]) {
        note(`${block}.${name}`, keys, config.contextDim, channels);
        prompt.add(`${config.prefix}.${block}.${name}.weight`);
      }
      note(`${block}.ff.net.0.proj`, pixels, channels, 8 * channels);
      note(`${block}.ff.net.2`, pixels, 4 * channels, channels);
      attention += 4 * batch * heads * headDim * pixels * (pixels + keys);
    }
  };

  note("time_embed.0", 1, config.modelChannels, config.timeDim);
  note("time_embed.2", 1, config.timeDim, config.timeDim);
  if (config.admChannels !== undefined) {
    note("label_emb.0.0", 1, config.admChannels, config.timeDim);
    note("label_emb.0.2", 1, config.timeDim, config.timeDim);
  }
  for (const block of config.inputBlocks) {
    if (block.kind === "down") [h, w] = [Math.ceil(h / 2), Math.ceil(w / 2)];
    if (block.kind === "res") {
      resBlock(`${block.path}.0`, block.inChannels, block.channels);
      transformer(`${block.path}.1`, block.channels, block.depth);
    } else {
      note(block.kind === "down" ? `${block.path}.0.op` : `${block.path}.0`, h * w, 9 * block.inChannels, block.channels);
    }
  }
  const { channels, depth } = config.middle;
  resBlock("middle_block.0", channels, channels);
  transformer("middle_block.1", channels, depth);
  resBlock(`middle_block.${depth > 0 ? 2 : 1}`, channels, channels);
  for (const block of config.outputBlocks) {
    resBlock(`${block.path}.0`, block.inChannels, block.channels);
    transformer(`${block.path}.1`, block.channels, block.depth);
    if (block.upsample === undefined) continue;
    [h, w] = [2 * h, 2 * w];
    note(block.upsample, h * w, 9 * block.channels, block.channels);
  }
  note("out.2", h * w, 9 * config.modelChannels, config.outChannels);
  return { weights, attention, prompt };
}

/** FLOP of everything, and of what each step has to do again. */
export function totalFlop({ weights, attention, prompt }: Work): { all: number; step: number } {
  let [all, once] = [attention, 0];
  for (const [name, flop] of weights) {
    all += flop;
    if (prompt.has(name)) once += flop;
  }
  return { all, step: all - once };
}
