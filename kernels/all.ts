/** @file Every kernel there is, for `limn kernel`, the snapshot test and the bench. */
import type { KernelDefinition } from "../engine/index.ts";
import { activationNaive, activationVec4 } from "./activation.ts";
import { addNaive, addVec4 } from "./add.ts";
import {
  attentionMatrix,
  attentionNaive,
  attentionSoftware,
  attentionSoftwareNarrow,
  attentionTiled,
} from "./attention/index.ts";
import { blendKernel } from "./blend.ts";
import { castNaive, castVec4 } from "./cast.ts";
import { columnsKernel } from "./columns.ts";
import { combineKernel, combineSlotsKernel } from "./combine.ts";
import { composedGuidanceKernel } from "./composed-guidance.ts";
import { concatNaive, concatVec4 } from "./concat.ts";
import { conv2dMatrix, conv2dMatrixSlab } from "./conv2d/matrix.ts";
import { conv2dNaive } from "./conv2d/naive.ts";
import { conv2dSoftware, conv2dSoftwareHalves } from "./conv2d/software.ts";
import { conv2dTiled, conv2dTiledSlab } from "./conv2d/tiled.ts";
import { countNonFiniteKernel } from "./count-non-finite.ts";
import { fillKernel } from "./fill.ts";
import { gegluNaive, gegluVec4 } from "./geglu.ts";
import {
  groupNormApply,
  groupNormCombine,
  groupNormNaive,
  groupNormSoftware,
  groupNormStatistics,
  groupNormWhole,
} from "./group-norm/index.ts";
import { guidanceKernel } from "./guidance.ts";
import { imageGuidanceKernel } from "./image-guidance.ts";
import { layerNormNaive, layerNormSoftware, layerNormWorkgroup } from "./layer-norm/index.ts";
import { matmulMatrix, matmulMatrixSlab, matmulNaive, matmulSlabs, matmulTiled, matmulTiledSlab } from "./matmul/index.ts";
import { modelInputKernel } from "./model-input.ts";
import { preluNaive, preluVec4 } from "./prelu.ts";
import { rescaledGuidanceKernel } from "./rescaled-guidance.ts";
import { scaleNaive, scaleVec4 } from "./scale.ts";
import { toPixelsKernel } from "./to-pixels.ts";
import { torchActivationKernel } from "./torch-activation.ts";
import { unpackWeightKernel } from "./unpack-weight.ts";
import {
  gatherWeightKernel,
  hadamardKernel,
  kroneckerKernel,
  mergeWeightKernel,
  rotateOutputsKernel,
  weightGainKernel,
} from "./weight-merge/index.ts";

/** Sorted by name, the rungs of a ladder from the readable one up. */
export const allKernels: readonly KernelDefinition[] = [
  activationNaive,
  activationVec4,
  addNaive,
  addVec4,
  attentionNaive,
  attentionTiled,
  attentionSoftware,
  attentionSoftwareNarrow,
  attentionMatrix,
  blendKernel,
  castNaive,
  castVec4,
  columnsKernel,
  combineKernel,
  combineSlotsKernel,
  concatNaive,
  concatVec4,
  conv2dNaive,
  conv2dTiled,
  conv2dTiledSlab,
  conv2dSoftware,
  conv2dSoftwareHalves,
  conv2dMatrix,
  conv2dMatrixSlab,
  countNonFiniteKernel,
  fillKernel,
  gatherWeightKernel,
  gegluNaive,
  gegluVec4,
  groupNormNaive,
  groupNormSoftware,
  groupNormWhole,
  groupNormStatistics,
  groupNormCombine,
  groupNormApply,
  composedGuidanceKernel,
  guidanceKernel,
  hadamardKernel,
  imageGuidanceKernel,
  kroneckerKernel,
  layerNormNaive,
  layerNormSoftware,
  layerNormWorkgroup,
  matmulNaive,
  matmulTiled,
  matmulTiledSlab,
  matmulMatrix,
  matmulMatrixSlab,
  matmulSlabs,
  mergeWeightKernel,
  modelInputKernel,
  preluNaive,
  preluVec4,
  rescaledGuidanceKernel,
  rotateOutputsKernel,
  scaleNaive,
  scaleVec4,
  toPixelsKernel,
  torchActivationKernel,
  unpackWeightKernel,
  weightGainKernel,
];
