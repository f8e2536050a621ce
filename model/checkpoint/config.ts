/**
 * @file What a checkpoint is: its family and whole configuration, read from tensor names and shapes, with what shapes
 * can't tell (heads, groups, scale factor, schedule) from the family's rules or the file's own metadata key `ldm.config`.
 */
import { type Overrides, readOverrides } from "./config-metadata.ts";
import { expectTensors } from "./expected-tensors.ts";
import { readPrediction } from "./prediction.ts";
import { recogniseFamily } from "./recognise.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { readText } from "./structure-text.ts";
import { readUNet } from "./structure-unet.ts";
import { readVae } from "./structure-vae.ts";
import { expectFours } from "./widths.ts";

export type Family = "sd1" | "sd2" | "sdxl" | "sdxl-refiner";
export type Prediction = "eps" | "v";
/** By the U-Net's input channels: 4 base, 9 inpaint (+ mask and masked image), 8 pix2pix (+ image). */
export type Variant = "base" | "inpaint" | "pix2pix";

export interface ModelConfig {
  readonly family: Family;
  readonly variant: Variant;
  /** Channels of the U-Net's input: 4, or 9 or 8 by variant. */
  readonly inChannels: number;
  readonly prediction: Prediction;
  /** How `prediction` is known: stated by the file, measured on its weights, or the family's habit. */
  readonly predictionFrom: "metadata" | "weights" | "family";
  readonly unet: UNetConfig;
  readonly vae: VaeConfig;
  /** One text encoder; SDXL has two, whose outputs stand side by side in the context. */
  readonly text: readonly TextConfig[];
  readonly schedule: ScheduleConfig;
  readonly defaults: Defaults;
  /** `limn.knows` and `limn.backgrounds`: what a prompt may name; empty where the file doesn't say. */
  readonly knows: readonly string[];
  readonly backgrounds: readonly string[];
}

export interface UNetConfig {
  /** Path of the U-Net in the file, without the dot at the end. */
  readonly prefix: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly modelChannels: number;
  /** Per level: channels / modelChannels, and transformer blocks in each attention (0: none). */
  readonly channelMult: readonly number[];
  readonly depth: readonly number[];
  /** Residual blocks per level on the way down; one more on the way up. */
  readonly numResBlocks: number;
  /** Every block in forward order, with its path below `prefix`. */
  readonly inputBlocks: readonly InputBlock[];
  readonly middle: { readonly channels: number; readonly depth: number };
  readonly outputBlocks: readonly OutputBlock[];
  /** Attention: a fixed number of heads (SD 1.x), or heads of a fixed width. */
  readonly heads: { readonly count: number } | { readonly width: number };
  readonly contextDim: number;
  /** proj_in and proj_out are linear layers (2-D weights), not 1x1 convolutions. */
  readonly linearProjection: boolean;
  /** Width of the time embedding (4 modelChannels). */
  readonly timeDim: number;
  /** Width of the vector for label_emb (SDXL: pooled text and sizes); undefined: no label_emb. */
  readonly admChannels: number | undefined;
  /** Width of the guidance scale's embedding in consistency-distilled models (LCM), which take the scale as an input. */
  readonly guidanceDim: number | undefined;
  readonly normGroups: number;
}

export type InputBlock =
  | { readonly kind: "conv"; readonly path: string; readonly inChannels: number; readonly channels: number }
  | { readonly kind: "down"; readonly path: string; readonly inChannels: number; readonly channels: number }
  | {
      readonly kind: "res";
      readonly path: string;
      readonly inChannels: number;
      readonly channels: number;
      /** Transformer blocks at `path.1`; 0: no transformer. */
      readonly depth: number;
    };

export interface OutputBlock {
  readonly path: string;
  /** Channels after the skip has been concatenated. */
  readonly inChannels: number;
  readonly channels: number;
  readonly depth: number;
  /** Path of the upsampler's convolution below the U-Net's prefix (`output_blocks.2.1.conv`), if there is one. */
  readonly upsample: string | undefined;
}

export interface VaeConfig {
  /** Path in its file without the dot at the end; "" in a file of its own. */
  readonly prefix: string;
  readonly ch: number;
  readonly chMult: readonly number[];
  readonly numResBlocks: number;
  readonly zChannels: number;
  /** Pixels per latent, each way: 8. */
  readonly factor: number;
  /** latent = scaleFactor * encoder's output. */
  readonly scaleFactor: number;
  readonly normGroups: number;
  readonly hasEncoder: boolean;
}

export interface TextConfig {
  /** `clip`: Hugging Face's names, q/k/v apart; `openclip`: OpenCLIP's names, one in_proj. */
  readonly kind: "clip" | "openclip";
  /** Path of the text model in the file, without the dot at the end. */
  readonly prefix: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlp: number;
  readonly activation: "quick_gelu" | "gelu";
  /** Behind a short prompt: the end marker again (CLIP-L), or zeros (OpenCLIP's models, under whichever names). */
  readonly padding: "end" | "zero";
  readonly vocabulary: number;
  readonly positions: number;
  /** Which hidden state is the context: after the last layer, or before it. */
  readonly output: "last" | "penultimate";
  /** The final layer norm is applied to that state. */
  readonly finalNorm: boolean;
  /** The pooled vector is needed: ln_final(last)[argmax id] @ text_projection. */
  readonly pooled: boolean;
}

export interface ScheduleConfig {
  /** beta_t = (sqrt(linearStart) .. sqrt(linearEnd))^2, evenly in the root ("scaled linear"). */
  readonly linearStart: number;
  readonly linearEnd: number;
  readonly timesteps: number;
  /** Rescaled to zero terminal signal (marker tensor `ztsnr`). */
  readonly zeroTerminalSnr: boolean;
}

export interface Defaults {
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidance: number;
  readonly sampler: string;
  readonly schedule: string;
}

export interface ConfigOptions {
  /** File that the VAE comes from, where it is not the model's own (`--vae`). */
  readonly vae?: SafetensorsFile;
}

const scaleFactors: Readonly<Record<Family, number>> = { sd1: 0.18215, sd2: 0.18215, sdxl: 0.13025, "sdxl-refiner": 0.13025 };

/**
 * Reads the configuration of a checkpoint with the original names (open.ts gives others these names).
 * @throws ModelFileError MODEL_UNSUPPORTED (names what the file is and what to do), MODEL_INCOMPLETE (a part is missing),
 *   CHECKPOINT_MISSING, CHECKPOINT_SHAPE, CONFIG_SHAPE, CONFIG_METADATA, CONFIG_CONFLICT
 */
export async function readConfig(file: SafetensorsFile, options: ConfigOptions = {}): Promise<ModelConfig> {
  const { family, variant } = recogniseFamily(file);
  const overrides = readOverrides(file);
  const unet = readUNet(file, family, overrides.unet);
  const { prediction, predictionFrom } = await readPrediction(file, family, unet, overrides.schedule.parameterization);
  const config: ModelConfig = {
    family,
    variant,
    inChannels: unet.inChannels,
    prediction,
    predictionFrom,
    unet,
    vae: readVae(
      options.vae ?? file,
      scaleFactors[family],
      options.vae === undefined ? overrides.vae : readOverrides(options.vae).vae,
    ),
    text: readText(file, family, overrides.text, overrides.text2),
    schedule: {
      linearStart: overrides.schedule.linearStart ?? 0.00085,
      linearEnd: overrides.schedule.linearEnd ?? 0.012,
      timesteps: overrides.schedule.timesteps ?? 1000,
      zeroTerminalSnr: overrides.schedule.zeroTerminalSnr ?? file.tensors.has("ztsnr"),
    },
    defaults: defaultsOf(family, prediction, unet, overrides),
    knows: overrides.knows,
    backgrounds: overrides.backgrounds,
  };
  expectTensors(file, options.vae ?? file, config);
  expectFours(file, config);
  return config;
}

function defaultsOf(family: Family, prediction: Prediction, unet: UNetConfig, overrides: Overrides): Defaults {
  const size = family === "sd1" ? 512 : family === "sd2" ? (prediction === "v" ? 768 : 512) : 1024;
  const sampled =
    unet.guidanceDim === undefined
      ? { steps: 20, guidance: 7, sampler: "dpmpp_2m", schedule: "karras" }
      : { steps: 4, guidance: 8, sampler: "lcm", schedule: "sgm_uniform" };
  return { width: size, height: size, ...sampled, ...overrides.defaults };
}

/** Heads and their width in an attention over `channels` channels. */
export function attentionHeads(unet: UNetConfig, channels: number): { heads: number; headDim: number } {
  if ("count" in unet.heads) return { heads: unet.heads.count, headDim: channels / unet.heads.count };
  return { heads: channels / unet.heads.width, headDim: unet.heads.width };
}
