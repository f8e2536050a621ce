/** @file One denoising step without a file's weights: the modules of a header, recorded for one size, filled on the GPU. */
import { openAsBlob } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Capture, Device, Tensor } from "../engine/index.ts";
import { countNonFinite } from "../kernels/index.ts";
import { BlobSource } from "../model/checkpoint/byte-source.ts";
import { Checkpoint } from "../model/checkpoint/checkpoint.ts";
import { type ModelConfig, readConfig } from "../model/checkpoint/config.ts";
import { openSafetensors, type SafetensorsFile } from "../model/checkpoint/safetensors.ts";
import { standIn } from "../model/checkpoint/stand-in.ts";
import { keepsHalves } from "../model/load.ts";
import { type Conditioning, UNet } from "../model/unet/unet.ts";
import { fillWeight, randomFill } from "./random-fill.ts";
import type { BenchFamily } from "./shapes.ts";
import type { WorkSize } from "./work.ts";

export interface StepModel {
  readonly config: ModelConfig;
  readonly work: WorkSize;
  readonly weights: Checkpoint["tensors"];
  readonly weightBytes: number;
  /** Keys and values of the prompt. */
  readonly prepare: Capture<Conditioning>;
  readonly step: Capture<Tensor>;
  /** u32 [1]: NaN and infinity in the step's outputs so far. */
  readonly nonFinite: Tensor;
  /** Gives weights and inputs their numbers. */
  fill(): void;
  free(): void;
}

/** The header of a family: of the stand-in, or of the embedded checkpoint. */
export async function familyHeader(family: BenchFamily): Promise<SafetensorsFile> {
  if (family !== "embedded") return openSafetensors(standIn(family));
  const path = fileURLToPath(new URL("../../checkpoints/limn-emoji.safetensors", import.meta.url));
  return openSafetensors(new BlobSource(await openAsBlob(path), path));
}

/** @param size of the picture in pixels */
export async function makeStepModel(device: Device, file: SafetensorsFile, size: number, batch: number): Promise<StepModel> {
  const config = await readConfig(file);
  const checkpoint = new Checkpoint(file, device, { keepHalves: keepsHalves(device) });
  const unet = new UNet(checkpoint.weights.at(config.unet.prefix), config.unet);
  const [side, keys] = [size / config.vae.factor, config.text[0]!.positions];
  const { inChannels, modelChannels, contextDim, admChannels } = config.unet;
  const inputs = {
    x: device.empty([batch, side, side, inChannels], device.storage, "U-Net input"),
    time: device.empty([batch, modelChannels], device.storage, "timestep embedding"),
    context: device.empty([batch, keys, contextDim], device.storage, "context"),
    ...(admChannels === undefined ? {} : { vector: device.empty([batch, admChannels], device.storage, "size vector") }),
  };
  const nonFinite = device.upload(new Uint32Array(1), [1], "u32", "finite-check");
  const prepare = device.capture(() => unet.prepare(inputs.context));
  const step = device.capture(() => {
    const out = unet.forward(inputs.x, inputs.time, prepare.result, inputs.vector);
    countNonFinite(out, nonFinite);
    return out;
  });
  const { tensors } = checkpoint;
  return {
    config,
    work: { batch, height: side, width: side, keys },
    weights: tensors,
    weightBytes: checkpoint.bytes,
    prepare,
    step,
    nonFinite,
    fill() {
      for (const [i, { tensor, names }] of tensors.entries()) fillWeight(tensor, names[0] ?? "", i << 20);
      for (const tensor of Object.values(inputs)) randomFill(tensor, 1, tensor.size);
    },
    free() {
      step.dispose();
      prepare.dispose();
      for (const tensor of [...Object.values(inputs), nonFinite]) tensor.free();
      checkpoint.free();
    },
  };
}
