/** @file All operations: functions from tensors to tensors, and the kernels behind them for `limn kernel`, tests and bench. */
export { gelu, leakyRelu, quickGelu, silu } from "./activation.ts";
export { add } from "./add.ts";
export { allKernels } from "./all.ts";
export { type AttentionOptions, attention } from "./attention/index.ts";
export { blend } from "./blend.ts";
export { cast } from "./cast.ts";
export { columns } from "./columns.ts";
export { combine, type Term } from "./combine.ts";
export { composedGuidance, maxComposed } from "./composed-guidance.ts";
export { concat } from "./concat.ts";
export { type Conv2dOptions, conv2d, type Padding } from "./conv2d/index.ts";
export { conv2dOfTwo } from "./conv2d-of-two.ts";
export { countNonFinite } from "./count-non-finite.ts";
export { copy, fill } from "./fill.ts";
export { geglu } from "./geglu.ts";
export { type GroupNormOptions, groupNorm } from "./group-norm/index.ts";
export { guidance } from "./guidance.ts";
export { imageGuidance } from "./image-guidance.ts";
export { layerNorm } from "./layer-norm/index.ts";
export { type MatmulOptions, matmul, matmulGeglu } from "./matmul/index.ts";
export { type ModelInputOptions, modelInput } from "./model-input.ts";
export { prelu } from "./prelu.ts";
export { rescaledGuidance } from "./rescaled-guidance.ts";
export { scale } from "./scale.ts";
export type { Activation } from "./snippets.ts";
export { compileStepKernels } from "./step-kernels.ts";
export { toPixels } from "./to-pixels.ts";
export { type TorchActivation, torchActivation, torchActivations } from "./torch-activation.ts";
export { type UnpackOptions, unpackWeight, weightFormats } from "./unpack-weight.ts";
export {
  gatherWeight,
  hadamard,
  kronecker,
  mergeWeight,
  rotateOutputs,
  type WeightWindow,
  weightGain,
} from "./weight-merge/index.ts";
