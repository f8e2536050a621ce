/**
 * @file What a picture of ComfyUI says: from the node that saved it back through decoder, sampler, prompts and models. The nodes of
 * its core that Stable Diffusion needs are known; others are passed through and named.
 */

import { keepsPenultimate, tuningInputs, withWholeSamplers } from "./comfy-custom.ts";
import { ComfyGraph, type ComfyNode } from "./comfy-graph.ts";
import { integerOf, numberOf, textOf } from "./json.ts";
import { emptyRecipe, type FileReference, type LoraReference, type PictureRecipe, type Settings } from "./recipe.ts";

const savers = ["SaveImage", "PreviewImage", "SaveImageWebsocket", "SaveAnimatedWEBP"];
const samplers = ["KSampler", "KSamplerAdvanced"];
const decoders = ["VAEDecode", "VAEDecodeTiled"];
const encoders = ["VAEEncode", "VAEEncodeTiled", "VAEEncodeForInpaint"];
const resizers = ["LatentUpscale", "LatentUpscaleBy"];
/** Nodes that hand something on as it is. */
const passages = ["Reroute", "LatentFromBatch", "RepeatLatentBatch", "ImageScale", "ImageScaleBy"];
/** What is followed upstream: an image, a latent, a model, a conditioning. */
const imageLinks = ["images", "image", "pixels", "samples", "upscale_model", ""];
const latentLinks = ["latent_image", "samples", "latent", "pixels", "image", ""];
const modelLinks = ["model", "clip", ""];
const conditioningLinks = ["conditioning", "conditioning_1", "positive", ""];

/** The recipe in a `prompt` chunk, or undefined where it is no graph that makes a picture. */
export function comfyRecipe(text: string): PictureRecipe | undefined {
  const parsed = ComfyGraph.parse(text);
  if (!parsed) return undefined;
  const graph = withWholeSamplers(parsed);
  const saver = graph.ofType(...savers)[0] ?? graph.ofType(...decoders)[0];
  const sampler = samplerBehind(graph, saver) ?? graph.ofType(...samplers)[0];
  if (!sampler) return undefined;
  const start = startOf(graph, sampler);
  // A sampler behind a sampler: the first makes the small picture, the second the large one.
  const first = start.first ?? sampler;
  const settings = { ...samplerSettings(graph, first), ...modelSettings(graph, first), ...sizeOf(graph, first) };
  const positive = promptOf(graph, first, "positive");
  const negative = promptOf(graph, first, "negative");
  const image = startOf(graph, first);
  const denoise = numberOf(graph.value(first, "denoise")) ?? 1;
  const fromPicture = image.picture !== undefined;
  return {
    ...emptyRecipe("comfy", "ComfyUI"),
    command: image.masked ? "inpaint" : fromPicture ? "img2img" : "txt2img",
    prompt: positive.text,
    negative: negative.text,
    settings: {
      ...settings,
      compat: "comfy",
      clipSkip: positive.clipSkip,
      strength: fromPicture ? denoise : undefined,
      ...(start.first ? hiresOf(graph, sampler, start.resizer) : {}),
    },
    model: fileOf(checkpointOf(graph, first), "ckpt_name"),
    vae: vaeOf(graph, saver),
    loras: lorasOf(graph, first),
    init: image.picture,
    unknown: [
      ...graph.notUnderstood,
      ...oddities(graph, first, sampler),
      ...(denoise < 1 && !fromPicture ? [`denoise ${denoise} without a picture`] : []),
    ],
  };
}

/** What a run of limn has no place for. */
function oddities(graph: ComfyGraph, first: ComfyNode, last: ComfyNode): string[] {
  const { batch } = sizeOf(graph, first);
  const [own, second] = [first, last].map((sampler) => samplerSettings(graph, sampler).seed);
  const begin = first.type === "KSamplerAdvanced" ? (numberOf(graph.value(first, "start_at_step")) ?? 0) : 0;
  return [
    ...(begin > 0 ? [`the sampler begins at step ${begin}`] : []),
    ...(own === second ? [] : [`the second pass has a seed of its own, ${second}`]),
    ...(batch === undefined ? [] : [`which of the ${batch} pictures of its batch it is: the first is tried`]),
  ];
}

/** The sampler whose latent ends in this image. */
function samplerBehind(graph: ComfyGraph, saver: ComfyNode | undefined): ComfyNode | undefined {
  if (saver && samplers.includes(saver.type)) return saver;
  const from = imageLinks.find((name) => graph.linked(saver, name));
  if (from === undefined) return undefined;
  for (const node of graph.upstream(saver, from, imageLinks)) {
    if (samplers.includes(node.type)) return node;
    if (![...decoders, ...passages].includes(node.type)) graph.strange(node);
  }
  return undefined;
}

interface Start {
  /** The sampler that made the latent this one starts from. */
  readonly first?: ComfyNode | undefined;
  readonly resizer?: ComfyNode | undefined;
  readonly picture?: FileReference | undefined;
  readonly masked: boolean;
}

function startOf(graph: ComfyGraph, sampler: ComfyNode): Start {
  let resizer: ComfyNode | undefined;
  let masked = false;
  for (const node of graph.upstream(sampler, "latent_image", latentLinks)) {
    if (samplers.includes(node.type)) return { first: node, resizer, masked: false };
    if (resizers.includes(node.type)) resizer ??= node;
    else if (node.type === "SetLatentNoiseMask" || node.type === "VAEEncodeForInpaint") masked = true;
    else if (node.type === "LoadImage" || node.type === "LoadImageMask")
      return { picture: { name: textOf(graph.value(node, "image")) }, masked };
    else if (![...encoders, ...passages, ...decoders, "EmptyLatentImage"].includes(node.type)) graph.strange(node);
  }
  return { resizer, masked };
}

function samplerSettings(graph: ComfyGraph, sampler: ComfyNode): Settings {
  const value = (name: string) => graph.value(sampler, name);
  return {
    seed: integerOf(value(sampler.type === "KSamplerAdvanced" ? "noise_seed" : "seed")),
    steps: numberOf(value("steps")),
    guidance: numberOf(value("cfg")),
    sampler: textOf(value("sampler_name")),
    schedule: textOf(value("scheduler")),
    discardPenultimate: value(keepsPenultimate) === true ? false : undefined,
    ...Object.fromEntries(Object.entries(tuningInputs).map(([input, name]) => [name, numberOf(value(input))])),
  };
}

function sizeOf(graph: ComfyGraph, sampler: ComfyNode): Settings {
  for (const node of graph.upstream(sampler, "latent_image", latentLinks)) {
    if (node.type !== "EmptyLatentImage") continue;
    const batch = numberOf(graph.value(node, "batch_size"));
    return {
      width: numberOf(graph.value(node, "width")),
      height: numberOf(graph.value(node, "height")),
      // Its noise is drawn for all of them at once, and nothing says which one this picture is.
      ...(batch !== undefined && batch > 1 ? { batch, batchIndex: 0 } : {}),
    };
  }
  return {};
}

function hiresOf(graph: ComfyGraph, sampler: ComfyNode, resizer: ComfyNode | undefined): Settings {
  const { steps, sampler: name, schedule, guidance } = samplerSettings(graph, sampler);
  const width = numberOf(graph.value(resizer, "width"));
  const height = numberOf(graph.value(resizer, "height"));
  const method = textOf(graph.value(resizer, "upscale_method"));
  return {
    hiresScale: numberOf(graph.value(resizer, "scale_by")) ?? (width && height ? undefined : 1),
    hiresResize: width && height ? `${width}x${height}` : undefined,
    hiresSteps: steps,
    hiresStrength: numberOf(graph.value(sampler, "denoise")),
    hiresUpscaler: method === undefined || method === "bilinear" ? "Latent" : `Latent (${method})`,
    hiresSampler: name,
    hiresSchedule: schedule,
    hiresGuidance: guidance,
  };
}

/** The text behind a conditioning, and the CLIP skip of its encoder. */
function promptOf(graph: ComfyGraph, sampler: ComfyNode, input: string): { text: string; clipSkip: number | undefined } {
  for (const node of graph.upstream(sampler, input, conditioningLinks)) {
    if (node.type === "CLIPTextEncode" || node.type === "CLIPTextEncodeSDXL") {
      const text = textOf(graph.value(node, "text")) ?? textOf(graph.value(node, "text_g")) ?? "";
      return { text, clipSkip: clipSkipOf(graph, node) };
    }
    if (!passages.includes(node.type)) graph.strange(node);
  }
  return { text: "", clipSkip: undefined };
}

function clipSkipOf(graph: ComfyGraph, encoder: ComfyNode): number | undefined {
  for (const node of graph.upstream(encoder, "clip", ["clip", ""])) {
    const layer = node.type === "CLIPSetLastLayer" ? numberOf(graph.value(node, "stop_at_clip_layer")) : undefined;
    if (layer !== undefined && layer < -1) return -layer;
  }
  return undefined;
}

/** From the sampler towards the checkpoint: LoRAs, and what changes the model. */
function lorasOf(graph: ComfyGraph, sampler: ComfyNode): LoraReference[] {
  const loras: LoraReference[] = [];
  for (const node of graph.upstream(sampler, "model", modelLinks)) {
    if (node.type !== "LoraLoader" && node.type !== "LoraLoaderModelOnly") continue;
    const unet = numberOf(graph.value(node, "strength_model")) ?? 1;
    const textEncoder = node.type === "LoraLoader" ? (numberOf(graph.value(node, "strength_clip")) ?? 1) : 0;
    loras.unshift({ ...fileOf(node, "lora_name"), unet, textEncoder });
  }
  return loras;
}

const checkpoints = ["CheckpointLoaderSimple", "CheckpointLoader"];
const modelChanges = ["LoraLoader", "LoraLoaderModelOnly", "ModelSamplingDiscrete", "RescaleCFG", ...checkpoints, ...passages];

function modelSettings(graph: ComfyGraph, sampler: ComfyNode): Settings {
  let settings: Settings = {};
  for (const node of graph.upstream(sampler, "model", modelLinks)) {
    if (node.type === "RescaleCFG") settings = { ...settings, guidanceRescale: numberOf(graph.value(node, "multiplier")) };
    if (node.type === "ModelSamplingDiscrete") {
      const kind = textOf(graph.value(node, "sampling"));
      const prediction = kind === "v_prediction" ? "v" : kind === "eps" ? "eps" : undefined;
      settings = { ...settings, prediction, zeroSnr: graph.value(node, "zsnr") === true || undefined };
      if (prediction === undefined) graph.strange(node);
    }
    if (!modelChanges.includes(node.type)) graph.strange(node);
  }
  return settings;
}

function checkpointOf(graph: ComfyGraph, sampler: ComfyNode): ComfyNode | undefined {
  for (const node of graph.upstream(sampler, "model", modelLinks)) if (checkpoints.includes(node.type)) return node;
  return undefined;
}

/** The decoder's own file, where it isn't the checkpoint's. */
function vaeOf(graph: ComfyGraph, saver: ComfyNode | undefined): FileReference | undefined {
  const decoder = saver && decoders.includes(saver.type) ? saver : graph.ofType(...decoders)[0];
  const loader = graph.linked(decoder, "vae");
  return loader?.type === "VAELoader" ? fileOf(loader, "vae_name") : undefined;
}

/** "sd/v1-5.safetensors" -> its name without the folder. */
function fileOf(node: ComfyNode | undefined, input: string): FileReference | undefined {
  const name = textOf(node?.inputs.get(input));
  return name === undefined ? undefined : { name: name.replace(/^.*[/\\]/, "") };
}
