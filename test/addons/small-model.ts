/** @file Small checkpoints of every family, made as they are read: the whole of their U-Net and text encoders, and add-ons for them. */
import type { Device } from "../../engine/index.ts";
import { gatherWeight } from "../../kernels/index.ts";
import { type LoraFile, openLora } from "../../model/addons/lora-file.ts";
import type { LoraModel } from "../../model/addons/lora-match.ts";
import { windowOfWeight } from "../../model/addons/weight-windows.ts";
import { type ByteSource, MemorySource } from "../../model/checkpoint/byte-source.ts";
import { Checkpoint } from "../../model/checkpoint/checkpoint.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors, type SafetensorsFile } from "../../model/checkpoint/safetensors.ts";
import { StandInSource } from "../../model/checkpoint/stand-in-source.ts";
import { type StandInTensor, TensorList } from "../../model/checkpoint/stand-in-tensors.ts";
import { listClip, listOpenClip } from "../../model/checkpoint/stand-in-text.ts";
import { listUNet } from "../../model/checkpoint/stand-in-unet.ts";
import { listVae } from "../../model/checkpoint/stand-in-vae.ts";
import { TextEncoder } from "../../model/text/text-encoder.ts";
import { UNet } from "../../model/unet/unet.ts";
import { safetensors, type TestTensor } from "../checkpoint/build-file.ts";
import { normals } from "../kernels/random.ts";

export const textWidth = 64;
export const channels = 64;

export interface SmallOptions {
  readonly inChannels?: 4 | 9;
  /** Width of the text encoder, which is that of the context; 64 unless said. */
  readonly width?: number;
}

/** Two levels, one transformer block each; text encoders of two layers. */
export function smallSource(
  family: "sd1" | "sd2" | "sdxl",
  { inChannels = 4, width = textWidth }: SmallOptions = {},
): StandInSource {
  const tensors: StandInTensor[] = [];
  const list = (path: string) => new TensorList(path, tensors);
  const text = { width, layers: 2 };
  const levels = { channels, mult: [1, 2], depth: [1, 1], middleDepth: 1 };
  const isXL = family === "sdxl";
  listUNet(list("model.diffusion_model"), {
    ...levels,
    context: isXL ? 2 * width : width,
    projection: family === "sd1" ? "conv" : "linear",
    ...(isXL ? { adm: width + 6 * 256 } : {}),
  });
  listVae(list("first_stage_model"));
  if (family === "sd1") listClip(list("cond_stage_model.transformer.text_model"), text);
  if (family === "sd2") listOpenClip(list("cond_stage_model.model"), text);
  if (isXL) {
    listClip(list("conditioner.embedders.0.transformer.text_model"), text);
    listOpenClip(list("conditioner.embedders.1.model"), text);
  }
  const first = "model.diffusion_model.input_blocks.0.0.weight";
  const widened = tensors.map((one) => (one.name === first ? { ...one, shape: [channels, inChannels, 3, 3] } : one));
  return new StandInSource(`small ${family}`, widened, 5);
}

/** The model with all its weights loaded, or only asked for. */
export async function openSmall(device: Device, source: ByteSource, load = true): Promise<LoraModel> {
  return openModel(device, await openSafetensors(source), load);
}

export async function openModel(device: Device, file: SafetensorsFile, load = true): Promise<LoraModel> {
  const config = await readConfig(file);
  const checkpoint = new Checkpoint(file, device);
  const { unet, text } = config;
  const root = checkpoint.weights;
  for (const one of text) new TextEncoder(root.at(one.prefix), one);
  new UNet(root.at(unet.prefix), unet);
  if (load) await checkpoint.load();
  return { config, checkpoint };
}

/** A weight as it is on the device, in the file's order. */
export async function readWeight({ checkpoint }: LoraModel, name: string): Promise<Float32Array> {
  const found = windowOfWeight(checkpoint, name);
  if (!found) throw new Error(`the model does not use ${name}`);
  const { device } = checkpoint;
  const weight = device.scope(() => gatherWeight({ ...found.window, tensor: found.target.tensor }));
  try {
    return await weight.read();
  } finally {
    weight.free();
  }
}

export interface AddonTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Normal numbers, such that changes are about as large as weights. */
export function random(...shape: number[]): AddonTensor {
  return {
    shape,
    values: normals(
      shape.reduce((product, size) => product * size, 1),
      { std: 0.3 },
    ),
  };
}

export function scalar(value: number): AddonTensor {
  return { shape: [], values: Float32Array.of(value) };
}

/** An add-on's bytes, F32. */
export function addonBytes(
  tensors: Readonly<Record<string, AddonTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const list = Object.entries(tensors).map(([name, { shape, values }]): TestTensor => {
    return { name, dtype: "F32", shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
  });
  return safetensors(list, metadata);
}

export function addon(
  tensors: Readonly<Record<string, AddonTensor>>,
  metadata: Readonly<Record<string, string>> = {},
  name = "mine.safetensors",
): Promise<LoraFile> {
  return openLora(new MemorySource(addonBytes(tensors, metadata), name));
}
