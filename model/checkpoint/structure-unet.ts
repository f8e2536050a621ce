/** @file The U-Net's blocks, read from names and shapes (names: CompVis `openaimodel.py`). */
import { ModelFileError } from "../../engine/errors.ts";
import type { Family, InputBlock, OutputBlock, UNetConfig } from "./config.ts";
import type { Section } from "./config-metadata.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { countOf, dim, holds } from "./shapes.ts";

export const unetPrefix = "model.diffusion_model";
/** Only diffusers' name is in use. */
const guidanceProjection = "time_embedding.cond_proj.weight";

/** Sizes that a missing tensor would tell are 0. @throws ModelFileError CONFIG_SHAPE, CONFIG_CONFLICT, CONFIG_METADATA */
export function readUNet(file: SafetensorsFile, family: Family, stated: Section): UNetConfig {
  const at = (path: string): string => `${unetPrefix}.${path}`;
  const has = (path: string): boolean => holds(file, at(path));
  /** Transformer blocks; one where there are only the layers around them. */
  const depthAt = (path: string): number => {
    const around = ["norm", "proj_in", "proj_out"].some((name) => has(`${path}.${name}`));
    return Math.max(countOf(file, at(`${path}.transformer_blocks`)), around ? 1 : 0);
  };
  const conv = (path: string): { inChannels: number; channels: number } => ({
    inChannels: dim(file, at(path), 4, 1),
    channels: dim(file, at(path), 4, 0),
  });

  // Each map on the way down is taken once on the way up.
  const count = Math.max(countOf(file, at("input_blocks")), countOf(file, at("output_blocks")));
  const inputBlocks = Array.from({ length: count }, (_, n): InputBlock => {
    const path = `input_blocks.${n}`;
    if (n === 0) return { kind: "conv", path, ...conv(`${path}.0.weight`) };
    if (has(`${path}.0.op`)) return { kind: "down", path, ...conv(`${path}.0.op.weight`) };
    return { kind: "res", path, ...conv(`${path}.0.in_layers.2.weight`), depth: depthAt(`${path}.1`) };
  });
  const outputBlocks = Array.from({ length: count }, (_, n): OutputBlock => {
    const path = `output_blocks.${n}`;
    const depth = depthAt(`${path}.1`);
    // A level ends with the map that was made smaller for it.
    const isLast = inputBlocks[count - 1 - n]?.kind === "down";
    const upsample = [`${path}.1.conv`, `${path}.2.conv`].find(has) ?? (isLast ? `${path}.${depth > 0 ? 2 : 1}.conv` : undefined);
    return { path, ...conv(`${path}.0.in_layers.2.weight`), depth, upsample };
  });

  const modelChannels = dim(file, at("input_blocks.0.0.weight"), 4, 0);
  const levels = levelsOf(inputBlocks);
  const channelMult = levels.map((level) => level.channels / modelChannels);
  const inChannels = dim(file, at("input_blocks.0.0.weight"), 4, 1);
  const outChannels = dim(file, at("out.2.weight"), 4, 0);
  const numResBlocks = levels[0]?.blocks ?? 0;
  const attention = attentionPath(file);
  const contextDim = dim(file, `${attention}.transformer_blocks.0.attn2.to_k.weight`, 2, 1);
  stated.agree({
    in_channels: inChannels,
    out_channels: outChannels,
    model_channels: modelChannels,
    channel_mult: channelMult,
    num_res_blocks: numResBlocks,
    context_dim: contextDim,
  });
  const headCount = stated.integer("num_heads", 1, 1024);
  const width = stated.integer("num_head_channels", 1, 65_536);
  const config: UNetConfig = {
    prefix: unetPrefix,
    inChannels,
    outChannels,
    modelChannels,
    channelMult,
    depth: levels.map((level) => level.depth),
    numResBlocks,
    inputBlocks,
    middle: {
      channels: dim(file, at("middle_block.0.in_layers.2.weight"), 4, 0),
      depth: Math.max(depthAt("middle_block.1"), has("middle_block.2") ? 1 : 0),
    },
    outputBlocks,
    heads:
      width !== undefined ? { width } : headCount !== undefined || family === "sd1" ? { count: headCount ?? 8 } : { width: 64 },
    contextDim,
    linearProjection: file.tensors.get(`${attention}.proj_in.weight`)?.shape.length === 2,
    timeDim: dim(file, at("time_embed.0.weight"), 2, 0),
    admChannels: family.startsWith("sdxl") ? dim(file, at("label_emb.0.0.weight"), 2, 1) : undefined,
    guidanceDim: file.tensors.has(at(guidanceProjection)) ? dim(file, at(guidanceProjection), 2, 1) : undefined,
    normGroups: stated.integer("norm_groups", 1, 65_536) ?? 32,
  };
  checkDivisible(file, config);
  return config;
}

interface Level {
  readonly channels: number;
  readonly depth: number;
  readonly blocks: number;
}

/** Residual blocks between two downsamplers are one level. */
function levelsOf(blocks: readonly InputBlock[]): Level[] {
  const levels: Level[] = [];
  let current: Level | undefined;
  for (const block of blocks) {
    if (block.kind === "res") {
      current = { channels: block.channels, depth: block.depth, blocks: (current?.blocks ?? 0) + 1 };
    } else if (block.kind === "down") {
      if (current !== undefined) levels.push(current);
      current = undefined;
    }
  }
  return current === undefined ? levels : [...levels, current];
}

/** Path of the first transformer, which tells the context's width and the kind of projection. */
function attentionPath(file: SafetensorsFile): string {
  const end = ".transformer_blocks.0.attn2.to_k.weight";
  for (const name of file.tensors.keys()) {
    if (name.startsWith(`${unetPrefix}.`) && name.endsWith(end)) return name.slice(0, -end.length);
  }
  throw new ModelFileError(
    "MODEL_UNSUPPORTED",
    `${file.source.name}: its U-Net has no cross-attention, so no prompt can steer it`,
    {
      hint: "pass a Stable Diffusion 1.x, 2.x or XL checkpoint",
      context: { file: file.source.name },
    },
  );
}

/** Heads and groups must share a block's channels evenly. */
function checkDivisible(file: SafetensorsFile, unet: UNetConfig): void {
  const per = "count" in unet.heads ? unet.heads.count : unet.heads.width;
  for (const block of [...unet.inputBlocks, ...unet.outputBlocks]) {
    const attends = "depth" in block && block.depth > 0;
    const [divisor, what] = block.channels % unet.normGroups !== 0 ? [unet.normGroups, "groups"] : [per, "heads"];
    if (block.channels % divisor === 0 || (what === "heads" && !attends)) continue;
    throw new ModelFileError(
      "CONFIG_SHAPE",
      `${file.source.name}: ${block.path} has ${block.channels} channels, not a multiple of ${divisor} (${what})`,
      {
        hint: "state num_heads and norm_groups in the metadata key ldm.config",
        context: { file: file.source.name, block: block.path },
      },
    );
  }
}
