/** @file Attention: softmax(scale q k^T) v, head by head. The matrix of scores is never stored. */
import type { Tensor } from "../../engine/index.ts";
import { attentionMatrix, matrix, matrixFits } from "./matrix.ts";
import { attentionNaive, naive } from "./naive.ts";
import { type AttentionOptions, type AttentionProblem, attentionProblem } from "./problem.ts";
import { attentionSoftware, software, softwareFits } from "./software.ts";
import { attentionSoftwareNarrow } from "./software-narrow.ts";
import { splitOf } from "./split.ts";
import { attentionTiled, tiled, tiledFits } from "./tiled.ts";

export type { AttentionOptions };
export { attentionMatrix, attentionNaive, attentionSoftware, attentionSoftwareNarrow, attentionTiled };

/** The ladder: whether a rung can do a problem on its device, and how. */
export const attentionRungs = {
  naive: { fits: (_: AttentionProblem) => true, run: naive },
  tiled: { fits: tiledFits, run: tiled },
  software: { fits: softwareFits, run: software },
  matrix: { fits: matrixFits, run: matrix },
} as const;

/** Rungs in the order in which a tier tries them. */
const orders = {
  matrix: ["matrix", "tiled"],
  f16: ["tiled"],
  f32: ["tiled"],
  software: ["software"],
} as const;

/**
 * Scaled dot-product attention (Vaswani et al. 2017, equation 1) of `heads` heads.
 * q [N, T, wq], k [N, S, wk], v [N, S, wv] -> [N, T, heads * headDim]; head h takes columns first + h * headDim onwards of each row.
 * Statistics and sums in f32. Where a tensor is larger than a binding, images, heads and queries are taken apart. Throws a ShapeError where
 * sizes, columns or dtypes don't fit together, an OutOfMemoryError BINDING_TOO_LARGE where one head's keys are too large.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const problem = attentionProblem(q, k, v, options);
  const inParts = splitOf(q, k, v, options);
  if (inParts) return inParts(attention);
  const rung =
    orders[q.device.tier].find((name) => q.device.accepts(`attention/${name}`) && attentionRungs[name].fits(problem)) ?? "naive";
  return attentionRungs[rung].run(problem);
}
