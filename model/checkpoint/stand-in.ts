/**
 * @file A stand-in for a checkpoint of true size: the tensors of SD 1.5, SD 2.1 (768-v), SDXL base and its refiner in the original single-file
 * layout, for tests and benches of loading, memory and speed without a download. Its pictures show nothing.
 */
import { StandInSource } from "./stand-in-source.ts";
import { type StandInTensor, TensorList } from "./stand-in-tensors.ts";
import { listClip, listOpenClip, type TextSizes } from "./stand-in-text.ts";
import { listUNet, type UNetSizes } from "./stand-in-unet.ts";
import { listVae } from "./stand-in-vae.ts";

export const standInFamilies = ["sd15", "sd21", "sdxl", "sdxl-refiner"] as const;
export type StandInFamily = (typeof standInFamilies)[number];

const unets: Readonly<Record<StandInFamily, UNetSizes>> = {
  sd15: { channels: 320, mult: [1, 2, 4, 4], depth: [1, 1, 1, 0], middleDepth: 1, context: 768, projection: "conv" },
  sd21: {
    channels: 320,
    mult: [1, 2, 4, 4],
    depth: [1, 1, 1, 0],
    middleDepth: 1,
    context: 1024,
    projection: "linear",
    velocity: true,
  },
  sdxl: {
    channels: 320,
    mult: [1, 2, 4],
    depth: [0, 2, 10],
    middleDepth: 10,
    context: 2048,
    projection: "linear",
    adm: 2816,
  },
  "sdxl-refiner": {
    channels: 384,
    mult: [1, 2, 4, 4],
    depth: [0, 4, 4, 0],
    middleDepth: 4,
    context: 1280,
    projection: "linear",
    adm: 2560,
  },
};
const clipL: TextSizes = { width: 768, layers: 12 };
const openClipH: TextSizes = { width: 1024, layers: 24 };
const openClipBigG: TextSizes = { width: 1280, layers: 32 };

/** Every tensor of a family, in no order. */
export function standInTensors(family: StandInFamily): StandInTensor[] {
  const tensors: StandInTensor[] = [];
  const list = (path: string): TensorList => new TensorList(path, tensors);
  listUNet(list("model.diffusion_model"), unets[family]);
  listVae(list("first_stage_model"));
  if (family === "sd15") listClip(list("cond_stage_model.transformer.text_model"), clipL);
  if (family === "sd21") listOpenClip(list("cond_stage_model.model"), openClipH);
  if (family === "sdxl") {
    listClip(list("conditioner.embedders.0.transformer.text_model"), clipL);
    listOpenClip(list("conditioner.embedders.1.model"), openClipBigG);
  }
  if (family === "sdxl-refiner") listOpenClip(list("conditioner.embedders.0.model"), openClipBigG);
  return tensors;
}

/** The bytes of a family's stand-in, made as they are read. `seed` 0..2^32-1: the same seed, the same bytes. */
export function standIn(family: StandInFamily, seed = 0): StandInSource {
  return new StandInSource(`stand-in ${family}, seed ${seed}`, standInTensors(family), seed);
}
