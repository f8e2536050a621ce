/** @file The text encoders, read from names and shapes: Hugging Face's CLIP names or OpenCLIP's. */
import { ModelFileError } from "../../engine/errors.ts";
import type { Family, TextConfig } from "./config.ts";
import type { Section } from "./config-metadata.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { countOf, dim, holds } from "./shapes.ts";

/** What the family takes from an encoder. */
type Use = Pick<TextConfig, "output" | "finalNorm" | "pooled">;

/** What goes with an encoder's origin: OpenAI's CLIP-L, or OpenCLIP's larger ones. */
type Habits = Pick<TextConfig, "activation" | "padding">;

const small: Habits = { activation: "quick_gelu", padding: "end" };
const big: Habits = { activation: "gelu", padding: "zero" };

const lastNormed: Use = { output: "last", finalNorm: true, pooled: false };
const penultimateNormed: Use = { output: "penultimate", finalNorm: true, pooled: false };
const penultimate: Use = { output: "penultimate", finalNorm: false, pooled: false };
const penultimatePooled: Use = { output: "penultimate", finalNorm: false, pooled: true };

/**
 * @param stated2 the same of the second encoder of SDXL
 * @throws ModelFileError MODEL_INCOMPLETE, CONFIG_SHAPE, CONFIG_CONFLICT, CONFIG_METADATA
 */
export function readText(file: SafetensorsFile, family: Family, stated: Section, stated2: Section): TextConfig[] {
  switch (family) {
    case "sd1":
      return [clip(file, "cond_stage_model.transformer", lastNormed, stated)];
    case "sd2":
      // Under Hugging Face's names the last layer, which nothing uses, is left out of the file.
      return [bigClip(file, openClipPath(file), penultimateNormed, stated, lastNormed)];
    case "sdxl":
      return [
        clip(file, "conditioner.embedders.0.transformer", penultimate, stated),
        bigClip(file, "conditioner.embedders.1.model", penultimatePooled, stated2),
      ];
    case "sdxl-refiner":
      return [bigClip(file, "conditioner.embedders.0.model", penultimatePooled, stated)];
  }
}

/** SD 2.1 Turbo stands under the names of sgm, the others under those of ldm. */
function openClipPath(file: SafetensorsFile): string {
  const paths = ["cond_stage_model.model", "conditioner.embedders.0.model"];
  return paths.find((path) => holds(file, path)) ?? "cond_stage_model.model";
}

/** OpenCLIP's encoders are wide ones, with the usual gelu, under either project's names: Hugging Face's come from a diffusers folder. */
function bigClip(file: SafetensorsFile, path: string, use: Use, stated: Section, clipUse = use): TextConfig {
  const transformer = path.replace(/\.model$/, ".transformer");
  const isClip = holds(file, transformer);
  return isClip ? clip(file, transformer, clipUse, stated, big) : openClip(file, path, use, stated);
}

function clip(
  file: SafetensorsFile,
  path: string,
  use: Use,
  stated: Section,
  { activation, padding }: Habits = small,
): TextConfig {
  // Old merges lack the `.text_model` in the middle.
  const isOld = !holds(file, `${path}.text_model`) && holds(file, path);
  const prefix = isOld ? path : `${path}.text_model`;
  return describe(file, stated, {
    kind: "clip",
    prefix,
    token: `${prefix}.embeddings.token_embedding.weight`,
    position: `${prefix}.embeddings.position_embedding.weight`,
    layers: `${prefix}.encoder.layers`,
    mlp: `${prefix}.encoder.layers.0.mlp.fc1.weight`,
    use,
    activation,
    padding,
  });
}

function openClip(file: SafetensorsFile, prefix: string, use: Use, stated: Section): TextConfig {
  return describe(file, stated, {
    kind: "openclip",
    prefix,
    token: `${prefix}.token_embedding.weight`,
    position: `${prefix}.positional_embedding`,
    layers: `${prefix}.transformer.resblocks`,
    mlp: `${prefix}.transformer.resblocks.0.mlp.c_fc.weight`,
    use,
    ...big,
  });
}

interface Names {
  readonly kind: TextConfig["kind"];
  readonly prefix: string;
  readonly token: string;
  readonly position: string;
  readonly layers: string;
  readonly mlp: string;
  readonly use: Use;
  /** Where the file states none. */
  readonly activation: TextConfig["activation"];
  readonly padding: TextConfig["padding"];
}

function describe(file: SafetensorsFile, stated: Section, names: Names): TextConfig {
  if (!holds(file, names.prefix)) {
    throw new ModelFileError("MODEL_INCOMPLETE", `${file.source.name}: no text encoder in it (${names.prefix}...)`, {
      hint: "the file holds only part of a model; get the full checkpoint",
      context: { file: file.source.name, path: names.prefix },
    });
  }
  const vocabulary = dim(file, names.token, 2, 0);
  const width = dim(file, names.token, 2, 1);
  const positions = dim(file, names.position, 2, 0);
  const layers = Math.max(1, countOf(file, names.layers));
  const mlp = dim(file, names.mlp, 2, 0);
  stated.agree({
    hidden_size: width,
    num_hidden_layers: layers,
    intermediate_size: mlp,
    vocab_size: vocabulary,
    max_position_embeddings: positions,
  });
  const heads = stated.integer("num_attention_heads", 1, 1024) ?? width / 64;
  if (width > 0 && (!Number.isInteger(heads) || width % heads !== 0)) {
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
    activation: activationOf(file, names.activation, stated.text("hidden_act")),
    padding: names.padding,
    vocabulary,
    positions,
    ...names.use,
  };
}

function activationOf(
  file: SafetensorsFile,
  usual: TextConfig["activation"],
  stated: string | undefined,
): TextConfig["activation"] {
  if (stated === undefined) return usual;
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
