/** @file Does the U-Net predict the noise (eps) or the velocity (v)? The file's word first, then its weights, then habit. */
import { ModelFileError } from "../../engine/errors.ts";
import type { Family, Prediction, UNetConfig } from "./config.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { readValues } from "./values.ts";

interface Answer {
  readonly prediction: Prediction;
  readonly predictionFrom: "metadata" | "weights" | "family";
}

/** @param stated `ldm.config.schedule.parameterization` @throws ModelFileError CONFIG_METADATA */
export async function readPrediction(
  file: SafetensorsFile,
  family: Family,
  unet: UNetConfig,
  stated: string | undefined,
): Promise<Answer> {
  const word = stated ?? file.metadata.get("modelspec.prediction_type");
  if (word !== undefined) {
    const prediction = words.get(word.toLowerCase());
    if (prediction !== undefined) return { prediction, predictionFrom: "metadata" };
    throw new ModelFileError(
      "CONFIG_METADATA",
      `${file.source.name}: prediction type "${printable(word, 40)}" is neither eps nor v`,
      {
        hint: "correct the metadata (ldm.config or modelspec.prediction_type)",
        context: { file: file.source.name },
      },
    );
  }
  // A marker that some SDXL files carry as an empty tensor.
  if (file.tensors.has("v_pred")) return { prediction: "v", predictionFrom: "metadata" };
  if (family === "sd2" && unet.inChannels === 4) {
    const name = `${unet.prefix}.${unet.outputBlocks.at(-1)?.path}.1.transformer_blocks.0.norm1.bias`;
    if (file.tensors.has(name)) {
      // ComfyUI's rule (comfy/supported_models.py, SD20): the bias of the last block spreads wider in v-prediction models.
      return { prediction: deviation(await readValues(file, name)) > 0.09 ? "v" : "eps", predictionFrom: "weights" };
    }
  }
  return { prediction: "eps", predictionFrom: "family" };
}

const words: ReadonlyMap<string, Prediction> = new Map([
  ["eps", "eps"],
  ["epsilon", "eps"],
  ["v", "v"],
  ["v_prediction", "v"],
]);

/** Standard deviation of a population. */
function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
