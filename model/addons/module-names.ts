/**
 * @file Every name under which an add-on may speak of a module of the model, in one dictionary: a name with underscores can't be parsed
 * back into a path, as names of modules have underscores of their own.
 */
import type { ModelConfig, TextConfig } from "../checkpoint/config.ts";
import { unetAliases } from "./unet-aliases.ts";

/** A module, or rows of one: the tensors of the model's file that its adapter changes. */
export interface Place {
  readonly component: "unet" | "text";
  /** The module's path in the model's file. */
  readonly module: string;
  readonly weight: string;
  readonly bias: string;
  /** OpenCLIP keeps queries, keys and values in one matrix: which third this is. */
  readonly third?: 0 | 1 | 2;
}

/** What stands before a U-Net module's name; SimpleTuner's `lycoris`, ComfyUI's `diffusion_model`, diffusers' `unet` or nothing. */
const unetPrefixes = ["lora_unet_", "unet_", "lycoris_", "diffusion_model_", "model_diffusion_model_", ""];
const oneText = ["lora_te_", "text_encoder_", "lycoris_", ""];
const clipL = ["text_encoder_", "lora_te1_", "text_encoders_clip_l_transformer_", "clip_l_transformer_"];
const clipG = ["lora_te2_", "text_encoder_2_", "text_encoders_clip_g_transformer_", "clip_g_transformer_"];
const clipH = [...oneText, "text_encoders_clip_h_transformer_", "clip_h_transformer_"];

/**
 * Places by name, dots as underscores.
 * @param names all tensors of the model's file
 */
export function moduleNames(config: ModelConfig, names: Iterable<string>): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  const add = (prefixes: readonly string[], name: string, place: Place) => {
    for (const prefix of prefixes) places.set(`${prefix}${name.replaceAll(".", "_")}`, place);
  };
  const modules = new Set([...names].map((name) => name.slice(0, name.lastIndexOf("."))));
  const aliases = new Map(unetAliases(config.unet));
  const below = `${config.unet.prefix}.`;
  for (const module of modules) {
    if (!module.startsWith(below)) continue;
    const place: Place = { component: "unet", module, weight: `${module}.weight`, bias: `${module}.bias` };
    const original = module.slice(below.length);
    for (const name of [original, diffusersName(original, aliases)]) {
      if (name === undefined) continue;
      add(unetPrefixes, name, place);
      // The names of diffusers' former attention processors.
      if (name.endsWith("to_out.0")) add(unetPrefixes, name.slice(0, -".0".length), place);
    }
  }
  for (const [index, text] of config.text.entries()) {
    const prefixes = textPrefixes(config, index);
    for (const [name, place] of textPlaces(text, modules)) add(prefixes, name, place);
  }
  return places;
}

function textPrefixes({ family }: ModelConfig, index: number): readonly string[] {
  if (family === "sd1") return [...oneText, "text_encoders_clip_l_transformer_", "clip_l_transformer_"];
  if (family === "sd2") return clipH;
  if (family === "sdxl-refiner") return [...oneText, ...clipG];
  return index === 0 ? clipL : clipG;
}

/** The longest known beginning of a path in diffusers' words. */
function diffusersName(original: string, aliases: ReadonlyMap<string, string>): string | undefined {
  for (let end = original.length; end > 0; end = original.lastIndexOf(".", end - 1)) {
    const alias = aliases.get(original.slice(0, end));
    if (alias !== undefined) return `${alias}${original.slice(end)}`;
  }
  return undefined;
}

/** Hugging Face's names of a text encoder's modules: all add-ons use those. */
function textPlaces(text: TextConfig, modules: ReadonlySet<string>): [string, Place][] {
  const clip = text.kind === "clip";
  const below = `${text.prefix}.`;
  const found: [string, Place][] = [];
  const add = (name: string, module: string, more: Partial<Place> = {}) =>
    found.push([name, { component: "text", module, weight: `${module}.weight`, bias: `${module}.bias`, ...more }]);
  for (const module of modules) {
    if (!module.startsWith(below)) continue;
    const own = module.slice(below.length);
    const name = clip ? own : openClipName(own);
    if (name !== undefined) add(name === "text_projection" ? name : `text_model.${name}`, module);
    const old = name === undefined ? undefined : formerName(name);
    if (old !== undefined) add(`text_model.${old}`, module);
  }
  if (clip) return found;
  for (let layer = 0; layer < text.layers; layer++) {
    const module = `${below}transformer.resblocks.${layer}.attn`;
    for (const [third, letter] of (["q", "k", "v"] as const).entries()) {
      const tensors = { weight: `${module}.in_proj_weight`, bias: `${module}.in_proj_bias`, third: third as 0 | 1 | 2 };
      for (const name of [`${letter}_proj`, `to_${letter}`]) {
        add(`text_model.encoder.layers.${layer}.self_attn.${name}`, module, tensors);
      }
    }
  }
  // A parameter of the encoder itself, not a module's weight.
  add("text_projection", `${below}text_projection`, { weight: `${below}text_projection` });
  return found;
}

const openClipNames: Readonly<Record<string, string>> = {
  ln_1: "layer_norm1",
  ln_2: "layer_norm2",
  "attn.out_proj": "self_attn.out_proj",
  "mlp.c_fc": "mlp.fc1",
  "mlp.c_proj": "mlp.fc2",
};

/** "transformer.resblocks.3.ln_1" -> "encoder.layers.3.layer_norm1" */
function openClipName(own: string): string | undefined {
  if (own === "ln_final") return "final_layer_norm";
  const [, layer, rest = ""] = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(own) ?? [];
  const name = openClipNames[rest];
  return name === undefined ? undefined : `encoder.layers.${layer}.${name}`;
}

/** The names of diffusers' former attention processors: "self_attn.to_q" for "self_attn.q_proj". */
function formerName(name: string): string | undefined {
  const [, path, which] = /^(.*\.self_attn\.)(q|k|v|out)_proj$/.exec(name) ?? [];
  return which === undefined ? undefined : `${path}to_${which}`;
}
