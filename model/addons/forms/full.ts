/** @file D as it is: a full difference, a norm's, or (`set_weight`) the new weight itself. */
import { columnsOf, type DeltaForm, type Parts, upload } from "./form.ts";

const names = ["diff", "w_norm", "set_weight"] as const;
const partOf = (parts: Parts) => names.find((part) => parts.shape(part)) ?? "diff";

export const full: DeltaForm = {
  name: "full difference",
  has: (parts) => parts.shape(partOf(parts)) !== undefined,
  size(parts) {
    const shape = parts.shape(partOf(parts)) ?? [];
    const [outputs, inner] = [shape[0] ?? 0, columnsOf(shape)];
    return outputs > 0 && inner > 0 ? { outputs, inner, rank: undefined } : undefined;
  },
  async prepare(parts) {
    const part = partOf(parts);
    const [rows = 1] = parts.shape(part) ?? [];
    const values = await parts.values(part);
    return (window) => upload(window, values, rows);
  },
};
