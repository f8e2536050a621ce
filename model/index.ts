/** @file The library: `import { StableDiffusion } from "limn"`. Runs in Node and in the browser. */
export { Device, type DeviceOptions, LimnError } from "../engine/index.ts";
export { bundledEmbeddings } from "./addons/bundled-embeddings.ts";
export { type EmbeddingFile, EmbeddingLibrary, embeddingFile, type NamedEmbeddings } from "./addons/embedding-library.ts";
export { type HypernetworkFile, openHypernetwork } from "./addons/hypernetwork.ts";
export type { HypernetworkUse } from "./addons/hypernetwork-requests.ts";
export { type LoraFile, openLora } from "./addons/lora-file.ts";
export type { LoraUse } from "./addons/lora-set.ts";
export { BlobSource, type ByteSource, MemorySource } from "./checkpoint/byte-source.ts";
export type { ModelConfig } from "./checkpoint/config.ts";
export type { GeneratedImage, GenerateOptions, GenerateStep, Settings } from "./generation.ts";
export type { Raster } from "./image/index.ts";
export type { InitOptions } from "./img2img.ts";
export type { InpaintOptions } from "./inpaint.ts";
export type { LoadOptions } from "./load.ts";
export { StableDiffusion } from "./pipeline.ts";
export { samplers, schedules } from "./sampling/index.ts";
