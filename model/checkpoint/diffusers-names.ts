/**
 * @file The names of diffusers' modules and those of the original code: the same tensors under two names.
 * Sources: huggingface/diffusers `scripts/convert_diffusers_to_original_stable_diffusion.py`, `loaders/single_file_utils.py`.
 */

type Rename = (name: string) => string;

/** Applies the first rule whose pattern matches; a name that none matches stays as it is. */
function byRules(rules: readonly (readonly [RegExp, (...groups: string[]) => string])[]): Rename {
  return (name) => {
    for (const [pattern, to] of rules) {
      const match = pattern.exec(name);
      if (match) return to(...match.slice(1));
    }
    return name;
  };
}

const resBlockNames: Readonly<Record<string, string>> = {
  norm1: "in_layers.0",
  conv1: "in_layers.2",
  time_emb_proj: "emb_layers.1",
  norm2: "out_layers.0",
  conv2: "out_layers.3",
  conv_shortcut: "skip_connection",
};

/** "norm1.weight" -> "in_layers.0.weight" */
function inResBlock(rest: string): string {
  const [first = "", ...others] = rest.split(".");
  return [resBlockNames[first] ?? first, ...others].join(".");
}

/**
 * Names of a `UNet2DConditionModel`, as the original has them below `model.diffusion_model`.
 * @param names all names of the file: blocks in a level, and levels with attention, are counted from them
 */
export function unetNames(names: ReadonlySet<string>): Rename {
  let layers = 0;
  while (names.has(`down_blocks.0.resnets.${layers}.conv1.weight`)) layers++;
  const attends = (block: string): boolean => names.has(`up_blocks.${block}.attentions.0.norm.weight`);
  const middleAttends = names.has("mid_block.attentions.0.norm.weight");
  const input = (block: string, layer: number): string => `input_blocks.${1 + (layers + 1) * Number(block) + layer}`;
  const output = (block: string, layer: number): string => `output_blocks.${(layers + 1) * Number(block) + layer}`;
  return byRules([
    [/^conv_in\.(.+)$/, (rest) => `input_blocks.0.0.${rest}`],
    [/^time_embedding\.linear_([12])\.(.+)$/, (n, rest) => `time_embed.${n === "1" ? 0 : 2}.${rest}`],
    [/^(?:add|class)_embedding\.linear_([12])\.(.+)$/, (n, rest) => `label_emb.0.${n === "1" ? 0 : 2}.${rest}`],
    [/^down_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/, (b, j, rest) => `${input(b!, Number(j))}.0.${inResBlock(rest!)}`],
    [/^down_blocks\.(\d+)\.attentions\.(\d+)\.(.+)$/, (b, j, rest) => `${input(b!, Number(j))}.1.${rest}`],
    [/^down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.+)$/, (b, rest) => `${input(b!, layers)}.0.op.${rest}`],
    [/^mid_block\.resnets\.0\.(.+)$/, (rest) => `middle_block.0.${inResBlock(rest!)}`],
    [/^mid_block\.attentions\.0\.(.+)$/, (rest) => `middle_block.1.${rest}`],
    [/^mid_block\.resnets\.1\.(.+)$/, (rest) => `middle_block.${middleAttends ? 2 : 1}.${inResBlock(rest!)}`],
    [/^up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/, (b, j, rest) => `${output(b!, Number(j))}.0.${inResBlock(rest!)}`],
    [/^up_blocks\.(\d+)\.attentions\.(\d+)\.(.+)$/, (b, j, rest) => `${output(b!, Number(j))}.1.${rest}`],
    [/^up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.+)$/, (b, rest) => `${output(b!, layers)}.${attends(b!) ? 2 : 1}.conv.${rest}`],
    [/^conv_norm_out\.(.+)$/, (rest) => `out.0.${rest}`],
    [/^conv_out\.(.+)$/, (rest) => `out.2.${rest}`],
  ]);
}

const vaeAttentionNames: Readonly<Record<string, string>> = {
  group_norm: "norm",
  to_q: "q",
  to_k: "k",
  to_v: "v",
  "to_out.0": "proj_out",
  // Names before diffusers 0.17.
  query: "q",
  key: "k",
  value: "v",
  proj_attn: "proj_out",
};

/**
 * Names of an `AutoencoderKL`, as the original has them below `first_stage_model`.
 * @param names all names of the file: levels are counted from them
 * @param prefix what stands before each name, with its dot
 */
export function vaeNames(names: ReadonlySet<string>, prefix = ""): Rename {
  let levels = 0;
  while (names.has(`${prefix}decoder.up_blocks.${levels}.resnets.0.conv1.weight`)) levels++;
  const block = (rest: string): string => rest.replace(/^conv_shortcut\./, "nin_shortcut.");
  const rename = byRules([
    [/^encoder\.down_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/, (i, j, rest) => `encoder.down.${i}.block.${j}.${block(rest!)}`],
    [/^encoder\.down_blocks\.(\d+)\.downsamplers\.0\.(.+)$/, (i, rest) => `encoder.down.${i}.downsample.${rest}`],
    [
      /^decoder\.up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)$/,
      (i, j, rest) => `decoder.up.${levels - 1 - Number(i)}.block.${j}.${block(rest!)}`,
    ],
    [/^decoder\.up_blocks\.(\d+)\.upsamplers\.0\.(.+)$/, (i, rest) => `decoder.up.${levels - 1 - Number(i)}.upsample.${rest}`],
    [/^(encoder|decoder)\.mid_block\.resnets\.([01])\.(.+)$/, (half, n, rest) => `${half}.mid.block_${Number(n) + 1}.${rest}`],
    [
      /^(encoder|decoder)\.mid_block\.attentions\.0\.(to_out\.0|[a-z_]+)\.(.+)$/,
      (half, part, rest) => `${half}.mid.attn_1.${vaeAttentionNames[part!] ?? part}.${rest}`,
    ],
    [/^(encoder|decoder)\.conv_norm_out\.(.+)$/, (half, rest) => `${half}.norm_out.${rest}`],
  ]);
  return (name) => (name.startsWith(prefix) ? `${prefix}${rename(name.slice(prefix.length))}` : name);
}
