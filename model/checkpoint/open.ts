/** @file Opens what a user has: a single file, a shard index, a folder of shards, a diffusers folder; each as one checkpoint. */
import { FileSystemError } from "../../engine/errors.ts";
import { type ByteFolder, isFolder, type ModelSource } from "./byte-folder.ts";
import type { ByteSource } from "./byte-source.ts";
import { openDiffusers, openDiffusersVae } from "./diffusers.ts";
import { vaeNames } from "./diffusers-names.ts";
import { renamed } from "./joined-source.ts";
import { openTensors } from "./open-tensors.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile, SafetensorsOptions } from "./safetensors.ts";
import { looksLikeJson, openShards } from "./shards.ts";

/**
 * Opens a model: its tensors under the original names, wherever they stand.
 * @throws ModelFileError those of openTensors, of shards.ts and of diffusers.ts; FileSystemError FS_NOT_A_FILE
 */
export async function openModelFile(source: ModelSource, options: SafetensorsOptions = {}): Promise<SafetensorsFile> {
  if (!isFolder(source)) return withOriginalVae(await openFileOrShards(source, options));
  if (source.files.has("model_index.json")) return openDiffusers(source, options);
  return withOriginalVae(await openOnlyFile(source, options));
}

/** Opens what is given as a VAE: a file of its own or a whole checkpoint, of either naming, or a folder with one. */
export async function openVaeFile(source: ModelSource, options: SafetensorsOptions = {}): Promise<SafetensorsFile> {
  const file = isFolder(source) ? await openDiffusersVae(source, options) : await openFileOrShards(source, options);
  return withOriginalVae(file);
}

async function openFileOrShards(source: ByteSource, options: SafetensorsOptions): Promise<SafetensorsFile> {
  const { beside } = source;
  if (!beside || !looksLikeJson(await source.read(0, Math.min(8, source.size)))) return openTensors(source, options);
  return openShards(source, (name) => beside.call(source, name), options);
}

/** A folder that holds one model: its shard index, or its only file. */
async function openOnlyFile(folder: ByteFolder, options: SafetensorsOptions): Promise<SafetensorsFile> {
  const top = [...folder.files].filter((path) => !path.includes("/")).sort();
  const safe = top.filter((name) => name.endsWith(".safetensors"));
  const models = safe.length > 0 ? safe : top.filter((name) => /\.(ckpt|pt|pth|bin)$/.test(name));
  const indexEnding = top.some((name) => /\.safetensors(\.|$)/.test(name))
    ? /\.safetensors\.index(\.\w+)?\.json$/
    : /\.bin\.index(\.\w+)?\.json$/;
  const indexes = top.filter((name) => indexEnding.test(name));
  const [index, model] = [indexes[0], models[0]];
  if (index !== undefined && indexes.length === 1) {
    return openShards(await folder.open(index), (name) => folder.open(name), options);
  }
  if (model !== undefined && models.length === 1) return openTensors(await folder.open(model), options);
  const found = [...indexes, ...models].slice(0, 3).map((name) => printable(name));
  throw new FileSystemError("FS_NOT_A_FILE", `${folder.name}: this folder is no model: it has no model_index.json`, {
    hint:
      found.length === 0 ? "pass a .safetensors or .ckpt file, or a diffusers folder" : `pass a file in it: ${found.join(", ")}`,
    context: { file: folder.name, found },
  });
}

/** Some files hold a VAE under diffusers' names. */
function withOriginalVae(file: SafetensorsFile): SafetensorsFile {
  const prefix = ["", "vae.", "first_stage_model."].find((start) =>
    file.tensors.has(`${start}decoder.up_blocks.0.resnets.0.norm1.weight`),
  );
  // A prefix tells the VAE's names from others; a file without one must be a VAE and no more.
  return prefix === undefined ? file : renamed(file, vaeNames(new Set(file.tensors.keys()), prefix));
}
