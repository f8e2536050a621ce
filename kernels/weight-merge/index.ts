/** @file Operations on weights in the device's layout: what add-ons do to a model. */
export { type GainOptions, weightGain, weightGainKernel } from "./gain.ts";
export { gatherWeight, gatherWeightKernel } from "./gather.ts";
export { hadamard, hadamardKernel, kronecker, kroneckerKernel } from "./kronecker.ts";
export { type MergeOptions, mergeWeight, mergeWeightKernel } from "./merge.ts";
export { rotateOutputs, rotateOutputsKernel } from "./rotate.ts";
export type { WeightWindow } from "./window.ts";
