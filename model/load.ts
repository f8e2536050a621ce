/** @file Opens a checkpoint: its configuration, its weights, and the modules that take them. */
import { type Device, ModelFileError, sizeClass, type Tensor } from "../engine/index.ts";
import type { ModelSource } from "./checkpoint/byte-folder.ts";
import { checkedModelSource, Patience } from "./checkpoint/checked-source.ts";
import { Checkpoint } from "./checkpoint/checkpoint.ts";
import { type ModelConfig, type Prediction, readConfig } from "./checkpoint/config.ts";
import type { Target } from "./checkpoint/load-plan.ts";
import type { LoadOptions as StreamOptions } from "./checkpoint/loader.ts";
import { openModelFile, openVaeFile } from "./checkpoint/open.ts";
import type { Weights } from "./checkpoint/weights.ts";
import type { GenerateOptions } from "./picture/generation.ts";
import type { PrecisionMemory } from "./precision-memory.ts";
import { Residency } from "./residency.ts";
import { type Modules, type StageName, stageNames } from "./stages.ts";
import { TextEncoder } from "./text/text-encoder.ts";
import { UNet } from "./unet/unet.ts";
import { VaeDecoder } from "./vae/decoder.ts";
import { VaeEncoder } from "./vae/encoder.ts";

export interface LoadOptions extends StreamOptions {
  readonly device: Device;
  /** A file of its own for the VAE, or a folder with one. */
  readonly vae?: ModelSource | undefined;
  /** What the U-Net predicts, where the file is known to be read wrongly. */
  readonly prediction?: Prediction | undefined;
  /** Picture to prepare for while the weights load. Default: one of the checkpoint's own size, with guidance. */
  readonly picture?: (GenerateOptions & { readonly prompt?: string }) | undefined;
  readonly strict?: boolean;
  readonly allowNonfinite?: boolean;
  /** Text encoder and VAE leave the GPU while they have nothing to do, and wait in the CPU's memory. */
  readonly lowMemory?: boolean;
  /** dtype of the VAE's activations; default: the device's storage, and f32 where that overflows. */
  readonly vaePrecision?: "f32" | "f16" | undefined;
  /** Stages that overflowed in f16 run in f32 from the start. Give none where f16 is what the user wants. */
  readonly precisions?: PrecisionMemory | undefined;
  /** Largest header in bytes. */
  readonly maxHeader?: number | undefined;
}

/** An opened model: what it is, and how to get its modules. */
export interface OpenModel {
  readonly config: ModelConfig;
  readonly checkpoints: readonly Checkpoint[];
  /** Whose signal ends a wait for the files. */
  readonly patience: Patience;
  /** With `lowMemory`. */
  readonly residency: Residency | undefined;
  /** Bytes of all weights on the device. */
  readonly bytes: number;
  /** Memory for them: with what buffers are rounded up by, and of weights that come and go no more than are there at once. */
  readonly residentBytes: number;
  readonly warnings: readonly string[];
  /** See Checkpoint. */
  readonly replaced: number;
  makeModules(): Modules;
  /** The VAE's encoder; `loadEncoder` also loads its weights. */
  makeEncoder(): VaeEncoder;
  /** The VAE's encoder, which only runs from a picture need, with its weights loaded. */
  loadEncoder(options: StreamOptions): Promise<VaeEncoder>;
  /** Streams the weights that the modules asked for. True when modules must be made again (see Checkpoint.load). */
  load(options: StreamOptions): Promise<boolean>;
  free(): void;
}

export async function openModel(source: ModelSource, options: LoadOptions): Promise<OpenModel> {
  const limits = options.maxHeader === undefined ? {} : { maxHeader: options.maxHeader };
  const patience = new Patience(options.signal);
  const file = await openModelFile(checkedModelSource(source, patience), limits);
  const vaeFile = options.vae && (await openVaeFile(checkedModelSource(options.vae, patience), limits));
  const found = await readConfig(file, vaeFile ? { vae: vaeFile } : {});
  const config = options.prediction ? { ...found, prediction: options.prediction, predictionFrom: "metadata" as const } : found;
  const { device, strict = false, allowNonfinite = false, lowMemory = false } = options;
  const how = { strict, allowNonfinite, parked: lowMemory, keepHalves: keepsHalves(device) };
  const main = new Checkpoint(file, device, { ...how, family: config.family });
  const vae = vaeFile ? new Checkpoint(vaeFile, device, { ...how, family: "VAE" }) : main;
  const checkpoints = vae === main ? [main] : [main, vae];
  const residency = lowMemory ? new Residency(device, (stage) => weightsOf(stage, config, checkpoints)) : undefined;
  const makeEncoder = (weights: Weights) => {
    if (!config.vae.hasEncoder) throw noEncoder(vae.file.source.name);
    return new VaeEncoder(weights.at(config.vae.prefix), config.vae);
  };
  return {
    config,
    checkpoints,
    patience,
    residency,
    get bytes() {
      return checkpoints.reduce((sum, checkpoint) => sum + checkpoint.bytes, 0);
    },
    get residentBytes() {
      const [text, unet, vae] = (["text", "unet", "vae"] as const).map((stage) =>
        weightsOf(stage, config, checkpoints).reduce((sum, { bytes }) => sum + sizeClass(bytes), 0),
      ) as [number, number, number];
      return unet + (residency ? Math.max(text, vae) : text + vae);
    },
    get warnings() {
      return checkpoints.flatMap((checkpoint) => checkpoint.warnings);
    },
    get replaced() {
      return checkpoints.reduce((sum, { replaced }) => sum + replaced, 0);
    },
    makeModules: () => makeModules(config, main, vae),
    makeEncoder: () => makeEncoder(vae.weights),
    loadEncoder: (stream) => vae.build(makeEncoder, stream),
    async load(stream) {
      const changed = [];
      for (const stages of residency ? [["vae"], ["text"], ["unet"]] : [stageNames]) {
        const only = ({ parts }: Target) => stages.includes(stageOf(parts[0]!.entry.name, config));
        for (const checkpoint of checkpoints) changed.push(await checkpoint.load(stream, only));
        for (const guest of ["text", "vae"] as const) if (stages.includes(guest)) await residency?.leave(guest);
      }
      return changed.some(Boolean);
    },
    free() {
      residency?.free();
      for (const checkpoint of checkpoints) checkpoint.free();
    },
  };
}

/** Whether kernels read f16 weights as quickly as f32 ones, beside f32 activations (measured with lavapipe). */
export function keepsHalves({ tier, features }: Pick<Device, "tier" | "features">): boolean {
  return tier === "software" && features.has("shader-f16");
}

/** What a checkpoint has beside its VAE. */
const wholeParts = ["model", "model_ema", "cond_stage_model", "conditioner"];

/** The modules that make a picture from a prompt, all their weights in the files. @throws ModelFileError CHECKPOINT_MISSING */
function makeModules(config: ModelConfig, main: Checkpoint, vae: Checkpoint): Modules {
  try {
    return askForWeights(config, main, vae);
  } finally {
    // Whatever else went wrong followed from what is missing.
    for (const checkpoint of [main, vae]) checkpoint.expectComplete();
  }
}

/** The VAE's encoder is left in the file. */
function askForWeights(config: ModelConfig, main: Checkpoint, vae: Checkpoint): Modules {
  const autoencoder = vae.weights.at(config.vae.prefix);
  vae.leave(autoencoder.at("encoder").path);
  vae.leave(autoencoder.at("quant_conv").path);
  if (vae !== main) {
    main.leave("first_stage_model");
    // A whole checkpoint that lends its VAE.
    for (const part of wholeParts) vae.leave(part);
  }
  return {
    text: config.text.map((text) => new TextEncoder(main.weights.at(text.prefix), text)),
    unet: new UNet(main.weights.at(config.unet.prefix), config.unet),
    decoder: new VaeDecoder(autoencoder, config.vae),
  };
}

/** Which stage a weight of the file belongs to. */
export function stageOf(name: string, { unet, text }: Pick<ModelConfig, "unet" | "text">): StageName {
  if (name.startsWith(`${unet.prefix}.`)) return "unet";
  return text.some(({ prefix }) => name.startsWith(`${prefix}.`)) ? "text" : "vae";
}

/** The weights of a stage that modules asked for. */
export function weightsOf(
  stage: StageName,
  config: Pick<ModelConfig, "unet" | "text">,
  checkpoints: readonly Checkpoint[],
): readonly Tensor[] {
  const tensors = checkpoints.flatMap((checkpoint) => checkpoint.tensors);
  return tensors.filter(({ names }) => stageOf(names[0] ?? "", config) === stage).map(({ tensor }) => tensor);
}

function noEncoder(file: string): ModelFileError {
  return new ModelFileError("MODEL_INCOMPLETE", `${file}: its VAE has no encoder, so no picture can be read with it`, {
    hint: "give a whole VAE with --vae",
    context: { file },
  });
}
