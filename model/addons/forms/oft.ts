/** @file OFT (Qiu et al. 2023) and BOFT (Liu et al. 2024): outputs rotated in blocks, D = (R - I) W. */
import { add, gatherWeight, rotateOutputs } from "../../../kernels/index.ts";
import { rotationsMinusOne, transpose } from "./factors.ts";
import type { DeltaForm, Parts, PrepareOptions } from "./form.ts";

/** `oft_blocks` are B of Q = B - B^T, R = (I + Q)(I - Q)^-1; `oft_diag` are R. */
const partOf = (parts: Parts) => (parts.shape("oft_blocks") ? "oft_blocks" : "oft_diag");

/** Largest norm of all Q: alpha, or in A1111 as many times alpha as there are outputs. */
function constraintOf(outputs: number, { alpha, rule }: PrepareOptions): number | undefined {
  return alpha === undefined || rule === "comfy" ? alpha : alpha * outputs;
}

/** [count, block, block]: each block turns outputs that stand together. */
export const oft: DeltaForm = {
  name: "OFT",
  has: (parts) => parts.shape(partOf(parts)) !== undefined,
  size(parts) {
    const [count = 0, block = 0, other, ...more] = parts.shape(partOf(parts)) ?? [];
    if (more.length > 0 || block !== other || count * block === 0) return undefined;
    return { outputs: count * block, inner: undefined, rank: undefined };
  },
  async prepare(parts, options) {
    const part = partOf(parts);
    const [count = 0, block = 0] = parts.shape(part) ?? [];
    const constraint = constraintOf(count * block, options);
    const blocks = rotationsMinusOne(await parts.values(part), { count, block, skew: part === "oft_blocks", constraint });
    const shape = [count, block, block];
    return (window) => rotateOutputs(gatherWeight(window), window.tensor.device.upload(blocks, shape, "f32", "rotations"));
  },
};

/**
 * [factors, count, block, block]: R is a butterfly, a product of sparse rotations; factor i turns pairs of outputs that are 2^i block / 2 apart.
 * Here a block is read as R x, and not as in OFT as x R (KohakuBlueleaf/LyCORIS `modules/boft.py`; ComfyUI `weight_adapter/boft.py`).
 */
export const boft: DeltaForm = {
  name: "BOFT",
  has: (parts) => parts.shape("oft_blocks")?.length === 4,
  size(parts) {
    const [factors = 0, count = 0, block = 0, other] = parts.shape("oft_blocks") ?? [];
    const outputs = count * block;
    const fits = outputs > 0 && block % 2 === 0 && block === other && factors > 0 && outputs % (2 ** (factors - 1) * block) === 0;
    return fits ? { outputs, inner: undefined, rank: undefined } : undefined;
  },
  async prepare(parts, options) {
    const [factors = 0, count = 0, block = 0] = parts.shape("oft_blocks") ?? [];
    const size = block * block;
    const all = { count: factors * count, block, skew: true, constraint: constraintOf(count * block, options) };
    const turns = rotationsMinusOne(await parts.values("oft_blocks"), all);
    for (let at = 0; at < turns.length; at += size) turns.set(transpose(turns.subarray(at, at + size), block), at);
    return (window) => {
      let turned = gatherWeight(window);
      const changes = Array.from({ length: factors }, (_, i) => {
        const own = turns.subarray(i * count * size, (i + 1) * count * size);
        const blocks = window.tensor.device.upload(own, [count, block, block], "f32", "rotations");
        const change = rotateOutputs(turned, blocks, 2 ** i * (block / 2));
        turned = add(turned, change);
        return change;
      });
      return changes.reduce(add);
    };
  },
};
