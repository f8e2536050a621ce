/** @file What the JSON files of a diffusers folder say about its model, in the words of `ldm.config`. */
import { ModelFileError } from "../../engine/errors.ts";
import type { ByteFolder } from "./byte-folder.ts";
import { Section } from "./config-metadata.ts";

const maxConfig = 1_000_000;

/** A JSON file of the folder; an empty section where there is none. @throws ModelFileError CONFIG_METADATA */
export async function readSection(folder: ByteFolder, path: string): Promise<Section> {
  const name = `${folder.name}/${path}`;
  if (!folder.files.has(path)) return new Section(name, "", {});
  const source = await folder.open(path);
  const fail = (fact: string): never => {
    throw new ModelFileError("CONFIG_METADATA", `${name}: ${fact}`, {
      hint: "download the folder again",
      context: { file: name },
    });
  };
  if (source.size > maxConfig) fail(`${source.size} bytes of JSON, the limit is ${maxConfig}`);
  try {
    return new Section(name, "", JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as unknown);
  } catch (error) {
    return error instanceof SyntaxError ? fail("this is not JSON") : Promise.reject(error);
  }
}

/** `ldm.config` and `limn.defaults` of the folder. @throws ModelFileError CONFIG_METADATA, MODEL_UNSUPPORTED */
export async function readFolderConfig(folder: ByteFolder): Promise<{ config: object; defaults: object }> {
  const [unet, vae, text, text2, scheduler] = [
    await readSection(folder, "unet/config.json"),
    await readSection(folder, "vae/config.json"),
    await readSection(folder, "text_encoder/config.json"),
    await readSection(folder, "text_encoder_2/config.json"),
    await readSection(folder, "scheduler/scheduler_config.json"),
  ];
  const beta = scheduler.text("beta_schedule") ?? "scaled_linear";
  if (beta !== "scaled_linear") {
    throw new ModelFileError("MODEL_UNSUPPORTED", `${folder.name}: its scheduler spaces betas by "${beta}"`, {
      hint: "only scaled_linear is supported, which all Stable Diffusion 1.x, 2.x and XL models use",
      context: { file: folder.name, beta },
    });
  }
  const config = {
    unet: { ...headsOf(folder, unet), norm_groups: unet.integer("norm_num_groups", 1, 65_536) },
    vae: vaeSection(vae),
    text: textSection(text),
    text_2: textSection(text2),
    schedule: {
      linear_start: scheduler.number("beta_start", 1e-9, 1),
      linear_end: scheduler.number("beta_end", 1e-9, 1),
      timesteps: scheduler.integer("num_train_timesteps", 1, 100_000),
      // diffusers' schedulers mean epsilon where they say nothing.
      parameterization: scheduler.text("prediction_type") ?? (scheduler.isEmpty ? undefined : "epsilon"),
      zero_terminal_snr: scheduler.flag("rescale_betas_zero_snr"),
    },
  };
  const size = unet.number("sample_size", 1, 2048);
  const factor = 2 ** Math.max(0, (vae.integers("block_out_channels") ?? [0, 0, 0, 0]).length - 1);
  return { config, defaults: size === undefined ? {} : { width: size * factor, height: size * factor } };
}

export function vaeSection(vae: Section): object {
  return {
    scale_factor: vae.number("scaling_factor", 1e-6, 1e6),
    norm_groups: vae.integer("norm_num_groups", 1, 65_536),
  };
}

function textSection(text: Section): object {
  return { hidden_act: text.text("hidden_act"), num_attention_heads: text.integer("num_attention_heads", 1, 1024) };
}

/**
 * `attention_head_dim` is the number of heads in these models, for historical reasons; a list has one for each level. Heads are
 * of one number, or of one width, everywhere.
 */
function headsOf(folder: ByteFolder, unet: Section): object {
  const heads = unet.integers("num_attention_heads") ?? unet.integers("attention_head_dim");
  const channels = unet.integers("block_out_channels");
  if (!heads || !channels || heads.length === 0) return {};
  const perLevel = channels.map((_, level) => heads[level] ?? heads[0]!);
  if (perLevel.every((count) => count === perLevel[0])) return { num_heads: perLevel[0] };
  const widths = channels.map((width, level) => width / perLevel[level]!);
  if (widths.every((width) => width === widths[0])) return { num_head_channels: widths[0] };
  throw new ModelFileError("MODEL_UNSUPPORTED", `${folder.name}: heads differ in number and in width between levels: ${heads}`, {
    hint: "pass a Stable Diffusion 1.x, 2.x or XL model",
    context: { file: folder.name, heads, channels },
  });
}
