/** @file Which family a file belongs to; and what it is, with advice, where it is no checkpoint that can run. */
import { ModelFileError } from "../../engine/errors.ts";
import type { Family, Variant } from "./config.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { holds } from "./shapes.ts";
import { unetPrefix } from "./structure-unet.ts";

const families = "Stable Diffusion 1.x, 2.x or XL";
const wholeModel = `pass a whole ${families} checkpoint as the model`;

/**
 * Family and variant by structure, not by full-size numbers: scaled-down and distilled models are recognised too.
 * @throws ModelFileError MODEL_UNSUPPORTED
 */
export function recogniseFamily(file: SafetensorsFile): { family: Family; variant: Variant } {
  if (!holds(file, `${unetPrefix}.input_blocks`)) {
    const { what, hint } = recogniseOther(file);
    throw unsupported(file, what, hint);
  }
  const family = familyOf(file);
  // Where it is missing, that is told with whatever else is.
  const inChannels = (file.tensors.get(`${unetPrefix}.input_blocks.0.0.weight`) ?? { shape: [0, 4] }).shape[1];
  if (holds(file, "depth_model") || inChannels === 5) {
    throw unsupported(file, "a depth-guided Stable Diffusion 2 model", "use a text-to-image checkpoint");
  }
  if (file.tensors.has("edm_mean") || file.tensors.has("edm_vpred.sigma_max")) {
    throw unsupported(
      file,
      "an XL model with EDM preconditioning (Playground 2.5, CosXL)",
      "use a checkpoint with eps or v prediction",
    );
  }
  if (inChannels === 4) return { family, variant: "base" };
  if (inChannels === 9) return { family, variant: "inpaint" };
  if (inChannels === 8) return { family, variant: "pix2pix" };
  const what = inChannels === 7 ? "the Stable Diffusion x4 upscaler" : `a U-Net with ${inChannels ?? 0} input channels`;
  throw unsupported(file, what, `${families} models have 4, or 9 for inpainting`);
}

function familyOf(file: SafetensorsFile): Family {
  if (holds(file, "conditioner.embedders.1")) return "sdxl";
  if (holds(file, `${unetPrefix}.label_emb`)) {
    if (holds(file, "conditioner.embedders.0")) return "sdxl-refiner";
    if (holds(file, "cond_stage_model") || holds(file, "embedder")) {
      throw unsupported(file, "a Stable Diffusion 2 unCLIP model", "use the ordinary 2.x checkpoint");
    }
    throw unsupported(file, "an XL U-Net without its text encoders", "get the full checkpoint");
  }
  for (const [name, { shape }] of file.tensors) {
    if (name.startsWith(`${unetPrefix}.`) && name.endsWith(".proj_in.weight")) return shape.length === 2 ? "sd2" : "sd1";
  }
  return "sd1";
}

interface Other {
  readonly what: string;
  readonly hint: string;
}

interface Mark extends Other {
  readonly pattern: RegExp;
}

/** Names that give another kind of file away; the first that matches any tensor counts. */
const marks: readonly Mark[] = [
  {
    pattern:
      /^(lora_|lycoris_)|\.(lora_up|lora_down|lora_A|lora_B|lora\.up|lora\.down|hada_w1_a|lokr_w1|lokr_w1_a|dora_scale|diff)(\.|$)/,
    what: "a LoRA (an add-on), not a whole model",
    hint: `${wholeModel}; a LoRA is added to one with --lora`,
  },
  {
    pattern: /^(control_model\.|controlnet_|input_hint_block\.|zero_convs\.)/,
    what: "a ControlNet (an add-on), not a whole model",
    hint: `${wholeModel}; a ControlNet is added to one`,
  },
  {
    pattern: /^(emb_params|string_to_param|clip_[lg]$)/,
    what: "a textual inversion (an embedding), not a whole model",
    hint: `${wholeModel}; a prompt names a textual inversion of --embedding-dir`,
  },
  {
    pattern: /^\d+\.[01]\.linear/,
    what: "a hypernetwork (an add-on), not a whole model",
    hint: `${wholeModel}; a hypernetwork goes with --hypernet`,
  },
  { pattern: /(^|\.)joint_blocks\./, what: "a Stable Diffusion 3 model", hint: `not supported; ${wholeModel}` },
  { pattern: /(^|\.)double_blocks\./, what: "a Flux model", hint: `not supported; ${wholeModel}` },
  {
    pattern: /^(down_blocks|mid_block|up_blocks)\./,
    what: "a U-Net in the diffusers layout",
    hint: "pass the whole folder: the one with model_index.json, above unet/",
  },
  {
    pattern: /^(vae\.)?decoder\.(up_blocks|mid_block)\./,
    what: "a VAE in the diffusers layout, not a whole model",
    hint: `${wholeModel}, and this file with --vae`,
  },
  {
    pattern: /^(first_stage_model\.|vae\.)?(decoder|encoder)\.(conv_in|mid|up|down)\b/,
    what: "a VAE, not a whole model",
    hint: `${wholeModel}, and this file with --vae`,
  },
  {
    pattern: /^(text_model\.|transformer\.resblocks\.|cond_stage_model\.|conditioner\.|text_encoders?\.)/,
    what: "a text encoder, not a whole model",
    hint: wholeModel,
  },
  { pattern: /^input_blocks\.0\.0\.weight$/, what: "a bare U-Net without text encoder and VAE", hint: "get the full checkpoint" },
  { pattern: /^model\.diffusion_model\./, what: "a diffusion model of another kind", hint: `not supported; ${wholeModel}` },
];

function recogniseOther(file: SafetensorsFile): Other {
  if (file.tensors.size === 0) return { what: "a safetensors file without tensors", hint: wholeModel };
  const names = [...file.tensors.keys()];
  const mark = marks.find(({ pattern }) => names.some((name) => pattern.test(name)));
  return mark ?? { what: "no model that limn knows", hint: `${wholeModel}; \`limn inspect\` lists what a file holds` };
}

function unsupported(file: SafetensorsFile, what: string, hint: string): ModelFileError {
  return new ModelFileError("MODEL_UNSUPPORTED", `${file.source.name}: this is ${what}`, {
    hint,
    context: { file: file.source.name, found: what },
  });
}
