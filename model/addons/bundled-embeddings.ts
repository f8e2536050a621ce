/** @file Textual inversions that come inside of a LoRA's file (AUTOMATIC1111's web UI): trained together, they are named together. */
import type { SafetensorsFile, TensorEntry } from "../checkpoint/safetensors.ts";
import type { EmbeddingFile } from "./embedding-library.ts";
import { readTables, textualInversion } from "./textual-inversion.ts";

/** `bundle_emb.NAME.string_to_param.*`, or `.clip_l` and `.clip_g`. */
const bundled = /^bundle_emb\.(.+)\.(string_to_param\.[^.]*|clip_[lg]|emb_params)$/s;

/** Each by the name that its tensors have. Their numbers are read when a prompt names one. */
export function bundledEmbeddings(file: SafetensorsFile): EmbeddingFile[] {
  const byName = new Map<string, Map<string, TensorEntry>>();
  for (const [key, entry] of file.tensors) {
    const [, name, rest] = bundled.exec(key) ?? [];
    if (name === undefined || rest === undefined) continue;
    const tensors = byName.get(name) ?? new Map<string, TensorEntry>();
    byName.set(name, tensors.set(rest, { ...entry, name: rest }));
  }
  return [...byName].map(([name, tensors]) => {
    const { name: path } = file.source;
    const read = async () =>
      textualInversion(path, { name, tables: await readTables({ ...file, tensors }), hash: undefined, id: `${path} ${name}` });
    return { name, read };
  });
}
