/**
 * @file "Scaled fp8" checkpoints keep one factor beside each 8-bit matrix: weight = fp8 * scale_weight (ComfyUI `comfy/ops.py`).
 */
import { ModelFileError } from "../../engine/errors.ts";
import type { Part } from "./load-plan.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile, TensorEntry } from "./safetensors.ts";
import { valuesOf } from "./values.ts";

/** The factor of a tensor, if it has 8 bits and the file has one. @throws ModelFileError CHECKPOINT_SHAPE for several factors */
export function scaleEntry(file: SafetensorsFile, { name, dtype }: TensorEntry): TensorEntry | undefined {
  if (!dtype.startsWith("F8_") || !/(^|\.)weight$/.test(name)) return undefined;
  const stem = name.slice(0, -"weight".length);
  const entry = file.tensors.get(`${stem}scale_weight`) ?? file.tensors.get(`${stem}weight_scale`);
  if (entry === undefined || entry.shape.every((size) => size === 1)) return entry;
  throw new ModelFileError(
    "CHECKPOINT_SHAPE",
    `${file.source.name}: tensor "${printable(entry.name)}" is [${entry.shape}], expected one number`,
    {
      hint: "get a version of the model in F16 or BF16: of scaled fp8, only one factor a matrix is supported",
      context: { file: file.source.name, tensor: printable(entry.name) },
    },
  );
}

/** A gap up to this size costs less to read than a second read. */
const maxGap = 65_536;

/** Fills in the factors of `parts`: they lie close together, and are read so. @throws ModelFileError CHECKPOINT_DTYPE */
export async function readScales(file: SafetensorsFile, parts: readonly Part[]): Promise<void> {
  const scaled = parts.filter((part) => part.scaleEntry !== undefined && part.scale === undefined);
  const sorted = scaled.sort((a, b) => a.scaleEntry!.begin - b.scaleEntry!.begin);
  for (let from = 0; from < sorted.length; ) {
    let to = from + 1;
    while (to < sorted.length && sorted[to]!.scaleEntry!.begin - sorted[to - 1]!.scaleEntry!.end <= maxGap) to++;
    const begin = sorted[from]!.scaleEntry!.begin;
    const bytes = await file.source.read(begin, sorted[to - 1]!.scaleEntry!.end);
    for (const part of sorted.slice(from, to)) {
      const entry = part.scaleEntry!;
      part.scale = valuesOf(file, entry, bytes.subarray(entry.begin - begin, entry.end - begin))[0] ?? 1;
    }
    from = to;
  }
}
