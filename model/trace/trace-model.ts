/** @file The modules that a cases file has inputs for. */
import { type Device, ModelFileError } from "../../engine/index.ts";
import { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type ModelConfig, type Prediction, readConfig } from "../checkpoint/config.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { TextEncoder } from "../text/text-encoder.ts";
import { UNet } from "../unet/unet.ts";
import { VaeDecoder } from "../vae/decoder.ts";
import { VaeEncoder } from "../vae/encoder.ts";
import type { RecordedTensors } from "./trace-case.ts";

export interface TraceModel {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly checkpoint: Checkpoint;
  /** By the group of their cases. */
  readonly text: ReadonlyMap<string, TextEncoder>;
  readonly unet: UNet | undefined;
  readonly decoder: VaeDecoder | undefined;
  readonly encoder: VaeEncoder | undefined;
  free(): void;
}

/** Groups of text cases, and by which padding the encoder that each is about is known. */
const textGroups = { text: "end", clip: "end", open: "zero" } as const;

/** Whether a file has inputs of modules: those of samplers, schedules and generators need no checkpoint. */
export function needsModel({ shapes }: RecordedTensors): boolean {
  return [...shapes.keys()].some((name) => /^(text|open|clip)\.ids$|^unet\.x|^vae\.(z|image)$|^run\.noise$/.test(name));
}

/** Loads no more of the checkpoint than the cases need. @throws ModelFileError those of readConfig and Checkpoint.build */
export async function loadTraceModel(file: SafetensorsFile, device: Device, recorded: RecordedTensors): Promise<TraceModel> {
  const found = await readConfig(file);
  const config = { ...found, prediction: predictionOf(recorded) ?? found.prediction };
  const checkpoint = new Checkpoint(file, device, { family: config.family });
  const has = (...names: string[]) => names.some((name) => recorded.shapes.has(name));
  const make = (weights: Weights) => ({
    text: new Map(
      Object.entries(textGroups).flatMap(([group, padding]) => {
        const text = has(`${group}.ids`) ? config.text.find((one) => one.padding === padding) : undefined;
        return text ? [[group, new TextEncoder(weights.at(text.prefix), text)] as const] : [];
      }),
    ),
    unet: has("unet.x", "unet.x.long", "run.noise") ? new UNet(weights.at(config.unet.prefix), config.unet) : undefined,
    decoder: has("vae.z", "run.noise") ? new VaeDecoder(weights.at(config.vae.prefix), config.vae) : undefined,
    encoder: has("vae.image") && config.vae.hasEncoder ? new VaeEncoder(weights.at(config.vae.prefix), config.vae) : undefined,
  });
  try {
    return { device, config, checkpoint, ...(await checkpoint.build(make)), free: () => checkpoint.free() };
  } catch (error) {
    checkpoint.free();
    throw error;
  }
}

/** The metadata `prediction`: of random weights it can't be told. */
function predictionOf({ metadata }: RecordedTensors): Prediction | undefined {
  const word = metadata["prediction"];
  if (word === undefined) return undefined;
  if (word === "v" || word === "v_prediction") return "v";
  if (word === "eps" || word === "epsilon") return "eps";
  throw new ModelFileError("CASES_METADATA", `cases file: prediction ${JSON.stringify(word)} is neither eps nor v`, {
    hint: "correct the metadata of the cases file",
    context: { prediction: word },
  });
}
