/**
 * @file Rewrites a single-file checkpoint as a diffusers folder and as shards, block by block from the configuration: the way
 * back of model/checkpoint/diffusers-names.ts, written apart from it.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ModelConfig, TextConfig } from "../../model/checkpoint/config.ts";
import type { SafetensorsFile } from "../../model/checkpoint/safetensors.ts";
import { safetensors, type TestTensor } from "./build-file.ts";

type Tensors = Map<string, TestTensor>;

export async function readTensors(file: SafetensorsFile): Promise<Tensors> {
  const tensors: Tensors = new Map();
  for (const { name, dtype, shape, begin, end } of file.tensors.values()) {
    tensors.set(name, { name, dtype, shape, bytes: (await file.source.read(begin, end)).slice() });
  }
  return tensors;
}

/** Writes `tensors` in three files and an index, last tensors first, neighbours in different files. */
export function writeShards(folder: string, tensors: Tensors, metadata: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true });
  const names = [...tensors.keys()].reverse();
  const shards = [0, 1, 2].map((at) => ({
    name: `model-0000${at + 1}-of-00003.safetensors`,
    tensors: names.filter((_, i) => i % 3 === at).map((name) => tensors.get(name)!),
  }));
  const weightMap = Object.fromEntries(shards.flatMap((shard) => shard.tensors.map(({ name }) => [name, shard.name])));
  // Headers of three lengths: nothing of a shard lies at the same place as in another.
  for (const [at, shard] of shards.entries()) {
    writeFileSync(join(folder, shard.name), safetensors(shard.tensors, at === 0 ? metadata : {}, at + 1));
  }
  const index = join(folder, "model.safetensors.index.json");
  writeFileSync(index, `${JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }, null, 2)}\n`);
  return index;
}

export interface FolderOptions {
  /** "fp16" writes diffusion_pytorch_model.fp16.safetensors. */
  readonly variant?: string;
  /** The VAE's attention as 1x1 convolutions under diffusers' names before 0.17. */
  readonly oldVae?: boolean;
  /** The U-Net in shards. */
  readonly sharded?: boolean;
}

/** Writes a folder as diffusers does. Metadata of the file goes to the U-Net's. */
export function writeDiffusers(
  folder: string,
  tensors: Tensors,
  config: ModelConfig,
  metadata: Readonly<Record<string, string>>,
  { variant, oldVae = false, sharded = false }: FolderOptions = {},
): void {
  const json = (path: string, value: unknown) => writeFileSync(join(folder, path), JSON.stringify(value));
  const end = variant === undefined ? ".safetensors" : `.${variant}.safetensors`;
  for (const part of ["unet", "vae", "scheduler", ...config.text.map((_, i) => textFolder(config, i))]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  const { unet, vae, text, schedule } = config;
  json("model_index.json", { _class_name: config.family === "sdxl" ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline" });
  const unetTensors = renamedTensors(tensors, unetPairs(config));
  if (sharded) {
    const index = writeShards(join(folder, "unet"), unetTensors, metadata);
    renameSync(index, join(folder, "unet", "diffusion_pytorch_model.safetensors.index.json"));
  } else {
    writeFileSync(join(folder, `unet/diffusion_pytorch_model${end}`), safetensors([...unetTensors.values()], metadata));
  }
  const channels = unet.channelMult.map((mult) => mult * unet.modelChannels);
  const { heads } = unet;
  json("unet/config.json", {
    attention_head_dim: "count" in heads ? heads.count : channels.map((width) => width / heads.width),
    block_out_channels: channels,
    norm_num_groups: unet.normGroups,
    num_attention_heads: null,
    sample_size: config.defaults.width / vae.factor,
  });
  const vaeTensors = renamedTensors(tensors, vaePairs(config, oldVae));
  const squeezed = [...vaeTensors.values()].map((tensor) =>
    /attentions\.0\.(to_|query|key|value|proj).*weight$/.test(tensor.name) && !oldVae
      ? { ...tensor, shape: tensor.shape.slice(0, 2) }
      : tensor,
  );
  writeFileSync(join(folder, `vae/diffusion_pytorch_model${end}`), safetensors(squeezed));
  json("vae/config.json", {
    block_out_channels: vae.chMult.map((mult) => mult * vae.ch),
    norm_num_groups: vae.normGroups,
    scaling_factor: vae.scaleFactor,
  });
  for (const [i, encoder] of text.entries()) {
    const part = textFolder(config, i);
    writeFileSync(join(folder, part, `model${end}`), safetensors([...textTensors(tensors, encoder).values()]));
    json(`${part}/config.json`, { hidden_act: encoder.activation, num_attention_heads: encoder.heads });
  }
  json("scheduler/scheduler_config.json", {
    beta_start: schedule.linearStart,
    beta_end: schedule.linearEnd,
    beta_schedule: "scaled_linear",
    num_train_timesteps: schedule.timesteps,
    prediction_type: config.prediction === "v" ? "v_prediction" : "epsilon",
    trained_betas: null,
  });
}

function textFolder(config: ModelConfig, index: number): string {
  return config.family === "sdxl-refiner" || index === 1 ? "text_encoder_2" : "text_encoder";
}

/** Every tensor that begins with the first path of a pair, with the second in its place. */
function renamedTensors(tensors: Tensors, pairs: readonly (readonly [string, string])[]): Tensors {
  const found: Tensors = new Map();
  for (const [from, to] of pairs) {
    for (const tensor of tensors.values()) {
      if (!tensor.name.startsWith(`${from}.`)) continue;
      const name = `${to}.${tensor.name.slice(from.length + 1)}`;
      found.set(name, { ...tensor, name });
    }
  }
  return found;
}

const resBlockPairs = (from: string, to: string): [string, string][] => [
  [`${from}.in_layers.0`, `${to}.norm1`],
  [`${from}.in_layers.2`, `${to}.conv1`],
  [`${from}.emb_layers.1`, `${to}.time_emb_proj`],
  [`${from}.out_layers.0`, `${to}.norm2`],
  [`${from}.out_layers.3`, `${to}.conv2`],
  [`${from}.skip_connection`, `${to}.conv_shortcut`],
];

function unetPairs({ unet }: ModelConfig): [string, string][] {
  const at = (path: string): string => `${unet.prefix}.${path}`;
  const pairs: [string, string][] = [
    [at("input_blocks.0.0"), "conv_in"],
    [at("time_embed.0"), "time_embedding.linear_1"],
    [at("time_embed.2"), "time_embedding.linear_2"],
    [at("label_emb.0.0"), "add_embedding.linear_1"],
    [at("label_emb.0.2"), "add_embedding.linear_2"],
    [at("out.0"), "conv_norm_out"],
    [at("out.2"), "conv_out"],
    ...resBlockPairs(at("middle_block.0"), "mid_block.resnets.0"),
    [at("middle_block.1"), "mid_block.attentions.0"],
    ...resBlockPairs(at("middle_block.2"), "mid_block.resnets.1"),
  ];
  let [level, layer] = [0, 0];
  for (const block of unet.inputBlocks.slice(1)) {
    if (block.kind === "down") {
      pairs.push([at(`${block.path}.0.op`), `down_blocks.${level}.downsamplers.0.conv`]);
      [level, layer] = [level + 1, 0];
    } else {
      pairs.push(...resBlockPairs(at(`${block.path}.0`), `down_blocks.${level}.resnets.${layer}`));
      pairs.push([at(`${block.path}.1`), `down_blocks.${level}.attentions.${layer}`]);
      layer++;
    }
  }
  [level, layer] = [0, 0];
  for (const block of unet.outputBlocks) {
    pairs.push(...resBlockPairs(at(`${block.path}.0`), `up_blocks.${level}.resnets.${layer}`));
    if (block.depth > 0) pairs.push([at(`${block.path}.1`), `up_blocks.${level}.attentions.${layer}`]);
    layer++;
    if (block.upsample === undefined) continue;
    pairs.push([at(block.upsample), `up_blocks.${level}.upsamplers.0.conv`]);
    [level, layer] = [level + 1, 0];
  }
  return pairs;
}

function vaePairs({ vae }: ModelConfig, old: boolean): [string, string][] {
  const at = (path: string): string => (vae.prefix === "" ? path : `${vae.prefix}.${path}`);
  const pairs: [string, string][] = [
    [at("quant_conv"), "quant_conv"],
    [at("post_quant_conv"), "post_quant_conv"],
  ];
  const attention = old ? ["query", "key", "value", "proj_attn"] : ["to_q", "to_k", "to_v", "to_out.0"];
  const block = (from: string, to: string): void => {
    for (const name of ["norm1", "conv1", "norm2", "conv2"]) pairs.push([at(`${from}.${name}`), `${to}.${name}`]);
    pairs.push([at(`${from}.nin_shortcut`), `${to}.conv_shortcut`]);
  };
  for (const half of ["encoder", "decoder"]) {
    for (const name of ["conv_in", "conv_out"]) pairs.push([at(`${half}.${name}`), `${half}.${name}`]);
    pairs.push([at(`${half}.norm_out`), `${half}.conv_norm_out`]);
    block(`${half}.mid.block_1`, `${half}.mid_block.resnets.0`);
    block(`${half}.mid.block_2`, `${half}.mid_block.resnets.1`);
    const [from, to] = [`${half}.mid.attn_1`, `${half}.mid_block.attentions.0`];
    pairs.push([at(`${from}.norm`), `${to}.group_norm`]);
    for (const [i, name] of ["q", "k", "v", "proj_out"].entries()) pairs.push([at(`${from}.${name}`), `${to}.${attention[i]}`]);
  }
  for (const level of vae.chMult.keys()) {
    const up = vae.chMult.length - 1 - level;
    for (let n = 0; n <= vae.numResBlocks; n++) {
      block(`encoder.down.${level}.block.${n}`, `encoder.down_blocks.${level}.resnets.${n}`);
      block(`decoder.up.${level}.block.${n}`, `decoder.up_blocks.${up}.resnets.${n}`);
    }
    pairs.push([at(`encoder.down.${level}.downsample.conv`), `encoder.down_blocks.${level}.downsamplers.0.conv`]);
    pairs.push([at(`decoder.up.${level}.upsample.conv`), `decoder.up_blocks.${up}.upsamplers.0.conv`]);
  }
  return pairs;
}

/** Hugging Face's names; an OpenCLIP encoder's fused matrices are cut in three, and a layer that nothing uses is left out. */
function textTensors(tensors: Tensors, text: TextConfig): Tensors {
  if (text.kind === "clip") return renamedTensors(tensors, [[text.prefix, "text_model"]]);
  const at = (path: string): string => `${text.prefix}.${path}`;
  const found: Tensors = new Map();
  const put = (name: string, tensor: TestTensor | undefined): void => {
    if (tensor) found.set(name, { ...tensor, name });
  };
  put("text_model.embeddings.token_embedding.weight", tensors.get(at("token_embedding.weight")));
  put("text_model.embeddings.position_embedding.weight", tensors.get(at("positional_embedding")));
  for (const end of ["weight", "bias"]) {
    put(`text_model.final_layer_norm.${end}`, tensors.get(at(`ln_final.${end}`)));
    for (let n = 0; n < (text.pooled ? text.layers : text.layers - 1); n++) {
      const [from, to] = [at(`transformer.resblocks.${n}`), `text_model.encoder.layers.${n}`];
      const fused = tensors.get(`${from}.attn.in_proj_${end}`)!;
      const third = fused.bytes.length / 3;
      for (const [i, name] of ["q_proj", "k_proj", "v_proj"].entries()) {
        const shape = [fused.shape[0]! / 3, ...fused.shape.slice(1)];
        put(`${to}.self_attn.${name}.${end}`, { ...fused, shape, bytes: fused.bytes.slice(i * third, (i + 1) * third) });
      }
      put(`${to}.self_attn.out_proj.${end}`, tensors.get(`${from}.attn.out_proj.${end}`));
      put(`${to}.layer_norm1.${end}`, tensors.get(`${from}.ln_1.${end}`));
      put(`${to}.layer_norm2.${end}`, tensors.get(`${from}.ln_2.${end}`));
      put(`${to}.mlp.fc1.${end}`, tensors.get(`${from}.mlp.c_fc.${end}`));
      put(`${to}.mlp.fc2.${end}`, tensors.get(`${from}.mlp.c_proj.${end}`));
    }
  }
  if (text.pooled) put("text_projection.weight", transposed(tensors.get(at("text_projection"))!));
  return found;
}

/** [in, out] -> [out, in] */
function transposed(tensor: TestTensor): TestTensor {
  const [rows = 1, columns = 1] = tensor.shape;
  const size = tensor.bytes.length / (rows * columns);
  const bytes = new Uint8Array(tensor.bytes.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      bytes.set(tensor.bytes.subarray((r * columns + c) * size, (r * columns + c + 1) * size), (c * rows + r) * size);
  return { ...tensor, shape: [columns, rows], bytes };
}
