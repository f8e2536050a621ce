/** @file 2-D convolution over NHWC: y = activation(x * weight + bias + channelAdd) + residual, as an implicit GEMM. */
import type { Tensor } from "../../engine/index.ts";
import { cast } from "../cast.ts";
import { type Conv2dOptions, type Convolution, convolutionOf } from "./convolution.ts";
import { type Conv2dRung, conv2dRungs, inOneBand, inQuads, matrixFits, takesSoftware } from "./rungs.ts";
import { type Convolve, sumOfParts, windowParts } from "./weight-parts.ts";
import { needsMoreRows, withRowsAround } from "./wrap-rows.ts";

export { type Conv2dOptions, type Convolution, convolutionOf, type Padding } from "./convolution.ts";
export { conv2dMatrix, conv2dMatrixSlab } from "./matrix.ts";
export { conv2dNaive } from "./naive.ts";
export { type Conv2dRung, conv2dRungs, softwareGeglu, takesSoftware } from "./rungs.ts";
export { conv2dSoftware, conv2dSoftwareHalves } from "./software.ts";
export { conv2dTiled, conv2dTiledSlab } from "./tiled.ts";

/**
 * x [N, H, W, C] under windows of weight [KH, KW, C, O] -> [N, H', W', O] in x's dtype, with
 * H' = (H + top + bottom - KH) / stride + 1 (H doubled first, and perhaps cut by a row, where `upsample`). Sums in f32. bias is f32 [O],
 * channelAdd [N, O] (or columns of longer rows), the residual has the output's shape. Maps larger than a binding go in bands of rows,
 * weights in parts of the window. Throws a ShapeError where the shapes don't fit, an OutOfMemoryError BINDING_TOO_LARGE where one row or tap is too
 * large. `rung` forces one, for tests and bench.
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}, rung?: Conv2dRung): Tensor {
  const sizes = convolutionOf(x, weight, options);
  if (needsMoreRows(sizes) && !inOneBand(x, sizes)) {
    return x.device.scope(() => {
      const { x: taller, padding } = withRowsAround(x, sizes);
      const upsample = sizes.upsample && { height: 2 * taller.shape[1]!, width: sizes.mapWidth };
      return conv2d(taller, weight, { ...options, padding, upsample }, rung);
    });
  }
  const convolve: Convolve = (weight, options, sizes) =>
    conv2dRungs[rung ?? chooseRung(x, weight, options, sizes)](x, weight, options, sizes);
  const { maxStorageBufferBindingSize: limit } = x.device.limits;
  const parts = weight.bytes > limit ? windowParts(sizes, weight.bytes, limit) : undefined;
  if (!parts) return convolve(weight, options, sizes);
  if (x.dtype === "f32") return sumOfParts(parts, weight, options, sizes, convolve);
  // Sums are f32 here, too: between the parts as well.
  return x.device.scope(() => {
    const residual = options.residual && cast(options.residual, "f32");
    return cast(conv2d(cast(x, "f32"), weight, { ...options, residual }, rung), "f16");
  });
}

function chooseRung(x: Tensor, weight: Tensor, options: Conv2dOptions, sizes: Convolution): Conv2dRung {
  const { device } = x;
  if (!inQuads(options, sizes)) return "naive";
  if (takesSoftware(device)) return "software";
  if (
    device.tier === "matrix" &&
    matrixFits(x, weight, options, sizes) &&
    device.accepts("conv2d/matrix", "conv2d/matrix-slab", "matmul/slabs")
  )
    return "matrix";
  return device.accepts("conv2d/tiled", "conv2d/tiled-slab", "matmul/slabs") ? "tiled" : "naive";
}
