/** @file The text encoders, read from names and shapes: Hugging Face's CLIP names or OpenCLIP's. */
import { ModelFileError } from "../../engine/errors.ts";
import type { Family, TextConfig } from "./config.ts";
import type { Section } from "./config-metadata.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { countOf, dim } from "./shapes.ts";

/** What the family takes from an encoder. */
type Use = Pick<TextConfig, "output" | "finalNorm" | "pooled">;

const lastNormed: Use = { output: "last", finalNorm: true, pooled: false };
const penultimateNormed: Use = { output: "penultimate", finalNorm: true, pooled: false };
const penultimate: Use = { output: "penultimate", finalNorm: false, pooled: false };
const penultimatePooled: Use = { output: "penultimate", finalNorm: false, pooled: true };

/** @throws ModelFileError MODEL_INCOMPLETE, CONFIG_SHAPE, CONFIG_CONFLICT, CONFIG_METADATA */
export function readText(file: SafetensorsFile, family: Family, stated: Section): TextConfig[] {
  switch (family) {
    case "sd1":
      return [clip(file, "cond_stage_model.transformer", lastNormed, stated)];
    case "sd2":
      return [openClip(file, openClipPath(file), penultimateNormed, stated)];
    case "sdxl":
      return [
        clip(file, "conditioner.embedders.0.transformer", penultimate, stated),
        openClip(file, "conditioner.embedders.1.model", penultimatePooled),
      ];
    case "sdxl-refiner":
      return [openClip(file, "conditioner.embedders.0.model", penultimatePooled, stated)];
  }
}

/** SD 2.1 Turbo stands under the names of sgm, the others under those of ldm. */
function openClipPath(file: SafetensorsFile): string {
  const paths = ["cond_stage_model.model", "conditioner.embedders.0.model"];
  return paths.find((path) => file.tensors.has(`${path}.token_embedding.weight`)) ?? "cond_stage_model.model";
}

function clip(file: SafetensorsFile, path: string, use: Use, stated: Section): TextConfig {
  // Old merges lack the `.text_model` in the middle.
  const prefix = file.tensors.has(`${path}.embeddings.token_embedding.weight`) ? path : `${path}.text_model`;
  return describe(file, stated, {
    kind: "clip",
    prefix,
    token: `${prefix}.embeddings.token_embedding.weight`,
    position: `${prefix}.embeddings.position_embedding.weight`,
    layer: (n) => `${prefix}.encoder.layers.${n}.layer_norm1.weight`,
    mlp: `${prefix}.encoder.layers.0.mlp.fc1.weight`,
    use,
  });
}

function openClip(file: SafetensorsFile, prefix: string, use: Use, stated?: Section): TextConfig {
  return describe(file, stated, {
    kind: "openclip",
    prefix,
    token: `${prefix}.token_embedding.weight`,
    position: `${prefix}.positional_embedding`,
    layer: (n) => `${prefix}.transformer.resblocks.${n}.ln_1.weight`,
    mlp: `${prefix}.transformer.resblocks.0.mlp.c_fc.weight`,
    use,
  });
}

interface Names {
  readonly kind: TextConfig["kind"];
  readonly prefix: string;
  readonly token: string;
  readonly position: string;
  readonly layer: (n: number) => string;
  readonly mlp: string;
  readonly use: Use;
}

function describe(file: SafetensorsFile, stated: Section | undefined, names: Names): TextConfig {
  if (!file.tensors.has(names.token)) {
    throw new ModelFileError("MODEL_INCOMPLETE", `${file.source.name}: no text encoder (${names.token})`, {
      hint: "the file holds only part of a model; get the full checkpoint",
      context: { file: file.source.name, tensor: names.token },
    });
  }
  const vocabulary = dim(file, names.token, 2, 0);
  const width = dim(file, names.token, 2, 1);
  const positions = dim(file, names.position, 2, 0);
  const layers = countOf(file, names.layer);
  const mlp = dim(file, names.mlp, 2, 0);
  stated?.agree({
    hidden_size: width,
    num_hidden_layers: layers,
    intermediate_size: mlp,
    vocab_size: vocabulary,
    max_position_embeddings: positions,
  });
  const heads = stated?.integer("num_attention_heads", 1, 1024) ?? width / 64;
  if (!Number.isInteger(heads) || width % heads !== 0) {
    throw new ModelFileError(
      "CONFIG_SHAPE",
      `${file.source.name}: text encoder of width ${width} does not divide into ${heads} heads`,
      {
        hint: "state num_attention_heads in the metadata key ldm.config",
        context: { file: file.source.name, width, heads },
      },
    );
  }
  return {
    kind: names.kind,
    prefix: names.prefix,
    width,
    layers,
    heads,
    mlp,
    activation: activationOf(file, names.kind, stated?.text("hidden_act")),
    vocabulary,
    positions,
    ...names.use,
  };
}

function activationOf(file: SafetensorsFile, kind: TextConfig["kind"], stated: string | undefined): TextConfig["activation"] {
  if (stated === undefined) return kind === "clip" ? "quick_gelu" : "gelu";
  if (stated === "quick_gelu" || stated === "gelu") return stated;
  throw new ModelFileError(
    "CONFIG_METADATA",
    `${file.source.name}: metadata ldm.config.text.hidden_act is neither quick_gelu nor gelu`,
    {
      hint: "correct or remove that key of the file's metadata",
      context: { key: "ldm.config.text.hidden_act" },
    },
  );
}
