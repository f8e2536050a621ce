/** @file The autoencoder's levels, read from names and shapes (names: CompVis `ldm/modules/diffusionmodules/model.py`). */
import { ModelFileError } from "../../engine/errors.ts";
import type { VaeConfig } from "./config.ts";
import type { Section } from "./config-metadata.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { countOf, dim, holds } from "./shapes.ts";

/** In a whole checkpoint, in a VAE file, and as some tools write one. */
const prefixes = ["first_stage_model", "", "vae"];

/** Tensor name below a prefix that may be empty. */
export function below(prefix: string, name: string): string {
  return prefix === "" ? name : `${prefix}.${name}`;
}

/**
 * Reads the VAE of a checkpoint or of a file of its own.
 * @param scaleFactor the family's, where the file states none
 * @throws ModelFileError MODEL_INCOMPLETE, CONFIG_SHAPE, CONFIG_CONFLICT, CONFIG_METADATA
 */
export function readVae(file: SafetensorsFile, scaleFactor: number, stated: Section): VaeConfig {
  const prefix = prefixes.find((start) => holds(file, below(start, "decoder")));
  if (prefix === undefined) {
    throw new ModelFileError("MODEL_INCOMPLETE", `${file.source.name}: no VAE in it (first_stage_model.decoder...)`, {
      hint: "take a file that has one, a whole checkpoint or a VAE of its own (--vae)",
      context: { file: file.source.name },
    });
  }
  const at = (name: string): string => below(prefix, name);
  const ch = dim(file, at("decoder.conv_out.weight"), 4, 1);
  const levels = Math.max(1, countOf(file, at("decoder.up")));
  const chMult = Array.from(
    { length: levels },
    (_, level) => dim(file, at(`decoder.up.${level}.block.0.conv1.weight`), 4, 0) / ch,
  );
  const blocks = Math.max(...chMult.map((_, level) => countOf(file, at(`decoder.up.${level}.block`))));
  const numResBlocks = Math.max(0, blocks - 1);
  const zChannels = dim(file, at("decoder.conv_in.weight"), 4, 1);
  stated.agree({ ch, ch_mult: chMult, num_res_blocks: numResBlocks, z_channels: zChannels });
  return {
    prefix,
    ch,
    chMult,
    numResBlocks,
    zChannels,
    factor: 2 ** (levels - 1),
    scaleFactor: stated.number("scale_factor", 1e-6, 1e6) ?? scaleFactor,
    normGroups: stated.integer("norm_groups", 1, 65_536) ?? 32,
    hasEncoder: holds(file, at("encoder")),
  };
}
