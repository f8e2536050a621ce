/** @file The library: `import { StableDiffusion } from "limn"`. Runs in Node and in the browser. */
export {
  AdapterError,
  Device,
  DeviceError,
  type DeviceOptions,
  FileSystemError,
  ImageError,
  LimnError,
  ModelFileError,
  NetworkError,
  NonFiniteError,
  OutOfMemoryError,
  type Precision,
  ShaderError,
  ShapeError,
  type Tensor,
  type Tier,
  UsageError,
} from "../engine/index.ts";
export { bundledEmbeddings } from "./addons/bundled-embeddings.ts";
export { type EmbeddingFile, EmbeddingLibrary, embeddingFile, type NamedEmbeddings } from "./addons/embedding-library.ts";
export { type HypernetworkFile, openHypernetwork } from "./addons/hypernetwork.ts";
export type { HypernetworkUse } from "./addons/hypernetwork-requests.ts";
export { type LoraFile, openLora } from "./addons/lora-file.ts";
export type { LoraUse } from "./addons/lora-set.ts";
export type { ByteFolder, ModelSource } from "./checkpoint/byte-folder.ts";
export { BlobSource, type ByteSource, MemorySource } from "./checkpoint/byte-source.ts";
export type { ModelConfig } from "./checkpoint/config.ts";
export { openTensors } from "./checkpoint/open-tensors.ts";
export { openUrl, type UrlOptions, type UrlSource } from "./checkpoint/url-source.ts";
export { RunLog } from "./denoiser/run-log.ts";
export type { HiresOptions } from "./hires/index.ts";
export type { Raster } from "./image/index.ts";
export type { LoadOptions } from "./load.ts";
export type { GeneratedImage, GenerateOptions, GenerateStep, Settings } from "./picture/generation.ts";
export type { InitOptions } from "./picture/img2img.ts";
export type { InpaintOptions } from "./picture/inpaint.ts";
export type { BatchPlace } from "./picture/picture-noise.ts";
export type { RefinerOptions } from "./picture/refiner.ts";
export { StableDiffusion } from "./pipeline.ts";
export type { PrecisionMemory } from "./precision-memory.ts";
export type { StepPreview } from "./preview/index.ts";
export { type Compatibility, type NoiseSource, samplers, schedules } from "./sampling/index.ts";
export type { EmbeddingSet } from "./text/embedding-set.ts";
export { enlarge, type PixelUpscaler, plainUpscaler, type UpscaleOptions, Upscaler } from "./upscale/index.ts";
