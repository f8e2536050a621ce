/** @file Loads the model that options name, and the refiner behind it, with progress. */
import type { Device } from "../../engine/index.ts";
import { type LoadOptions, StableDiffusion } from "../../model/index.ts";
import type { GpuOptions } from "../syntax/options.ts";
import type { Progress } from "../terminal/progress.ts";
import type { ModelFiles } from "./model-files.ts";
import { precisionCache } from "./precision-cache.ts";

/** Where to, and who is told. */
interface Loading extends Pick<GpuOptions, "precision"> {
  readonly device: Device;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export function loadModel(
  { model, vae, choice }: ModelFiles,
  picture: LoadOptions["picture"],
  loading: Loading,
): Promise<StableDiffusion> {
  const { prediction, vaePrecision } = choice;
  return StableDiffusion.load(model, {
    ...common(choice, loading),
    vae,
    vaePrecision: vaePrecision === "auto" ? undefined : vaePrecision,
    precisions: loading.precision === "auto" ? precisionCache : undefined,
    prediction: prediction === "auto" ? undefined : prediction,
    picture,
  });
}

export function loadRefiner(
  refiner: NonNullable<ModelFiles["refiner"]>,
  choice: ModelFiles["choice"],
  picture: LoadOptions["picture"],
  loading: Loading,
): Promise<StableDiffusion> {
  return StableDiffusion.load(refiner, { ...common(choice, loading), picture });
}

function common({ maxHeader, strict, allowNonfinite, lowMemory }: ModelFiles["choice"], { device, progress, signal }: Loading) {
  const onProgress: NonNullable<LoadOptions["onProgress"]> = (read) => progress.read(read);
  return { device, signal, onProgress, maxHeader, strict, allowNonfinite, lowMemory };
}
