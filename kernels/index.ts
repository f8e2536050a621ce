/** @file All operations: functions from tensors to tensors, and the kernels behind them for `limn kernel`, tests and bench. */
export { gelu, quickGelu, silu } from "./activation.ts";
export { add } from "./add.ts";
export { addPerChannel } from "./add-per-channel.ts";
export { allKernels } from "./all.ts";
export { cast } from "./cast.ts";
export { combine, type Term } from "./combine.ts";
export { concat } from "./concat.ts";
export { countNonFinite } from "./count-non-finite.ts";
export { copy, fill } from "./fill.ts";
export { geglu } from "./geglu.ts";
export { type GroupNormOptions, groupNorm } from "./group-norm/index.ts";
export { guidance } from "./guidance.ts";
export { layerNorm } from "./layer-norm/index.ts";
export { type ModelInputOptions, modelInput } from "./model-input.ts";
export { scale } from "./scale.ts";
export type { Activation } from "./snippets.ts";
export { toPixels } from "./to-pixels.ts";
