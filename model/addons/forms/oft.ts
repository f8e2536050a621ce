/** @file OFT (Qiu et al. 2023): outputs rotated in blocks, D = (R - I) W. */
import { gatherWeight, rotateOutputs } from "../../../kernels/index.ts";
import { rotationsMinusOne } from "./factors.ts";
import type { DeltaForm, Parts } from "./form.ts";

/** `oft_blocks` are B of Q = B - B^T, R = (I + Q)(I - Q)^-1; `oft_diag` are R. */
const partOf = (parts: Parts) => (parts.shape("oft_blocks") ? "oft_blocks" : "oft_diag");

export const oft: DeltaForm = {
  name: "OFT",
  has: (parts) => parts.shape(partOf(parts)) !== undefined,
  size(parts) {
    const [count = 0, block = 0, other, ...more] = parts.shape(partOf(parts)) ?? [];
    if (more.length > 0 || block !== other || count * block === 0) return undefined;
    return { outputs: count * block, inner: undefined, rank: undefined };
  },
  async prepare(parts, { alpha }) {
    const part = partOf(parts);
    const [count = 0, block = 0] = parts.shape(part) ?? [];
    const blocks = rotationsMinusOne(await parts.values(part), { count, block, skew: part === "oft_blocks", constraint: alpha });
    const shape = [count, block, block];
    return (window) => rotateOutputs(gatherWeight(window), window.tensor.device.upload(blocks, shape, "f32", "rotations"));
  },
};
