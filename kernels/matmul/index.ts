/** @file GEMM: y = activation(x weight + bias) + residual. */
import type { Tensor } from "../../engine/index.ts";
import { conv2d, takesSoftware } from "../conv2d/index.ts";
import { geglu } from "../geglu.ts";
import { checkEpilogue } from "./epilogue.ts";
import { type MatmulOptions, type Product, productOf } from "./product.ts";
import { type MatmulRung, matmulRungs, matrixFits, matrixGeglu, softwareGeglu, tiledGeglu } from "./rungs.ts";

export { matmulMatrix, matmulMatrixSlab } from "./matrix.ts";

export { matmulNaive } from "./naive.ts";
export type { MatmulOptions } from "./product.ts";
export { type MatmulRung, matmulRungs } from "./rungs.ts";
export { matmulSlabs } from "./slabs.ts";
export { matmulTiled, matmulTiledSlab } from "./tiled.ts";

/**
 * x [..., K] times weight [K, N] ([N, K] where `transposed`) -> [..., N] in x's dtype. Sums in f32. bias is f32 [N]; the residual has
 * the output's shape. Throws a ShapeError where the shapes don't fit. `rung` forces one, for tests and bench.
 */
export function matmul(x: Tensor, weight: Tensor, options: MatmulOptions = {}, rung?: MatmulRung): Tensor {
  const product = productOf(x, weight, options);
  checkEpilogue("matmul", options, [...x.shape.slice(0, -1), product.columns]);
  const parts = partsOf(weight, options, product);
  if (parts > 1) return asConvolution(x, weight, options, product, parts, rung);
  return matmulRungs[rung ?? chooseRung(x, weight, options, product)](x, weight, options, product);
}

/**
 * geglu(x weight + bias) (Shazeer 2020): x [..., K], weight [K, 2 N], values before gates -> [..., N]. One launch on the fast
 * rungs, where the wide product is never stored. Throws as matmul does, and for an odd number of columns.
 */
export function matmulGeglu(x: Tensor, weight: Tensor, { bias }: { bias?: Tensor | undefined } = {}, rung?: MatmulRung): Tensor {
  const product = productOf(x, weight, {});
  checkEpilogue("matmul", { bias }, [...x.shape.slice(0, -1), product.columns]);
  const chosen = rung ?? chooseRung(x, weight, {}, product);
  if (partsOf(weight, {}, product) > 1) return x.device.scope(() => geglu(matmul(x, weight, { bias }, rung)));
  if (chosen === "matrix" && product.columns % 16 === 0) return matrixGeglu(x, weight, bias, product);
  if (chosen === "software" && product.columns % 16 === 0) return softwareGeglu(x, weight, bias, product);
  if (chosen === "tiled" && product.columns % 8 === 0) return tiledGeglu(x, weight, bias, product);
  return x.device.scope(() => geglu(matmulRungs[chosen](x, weight, { bias }, product)));
}

/** Into how many parts of its rows, each aligned, a weight must be cut to fit into bindings; 1 where it fits, or nothing helps. */
function partsOf(weight: Tensor, { transposed }: MatmulOptions, { inner }: Product): number {
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } = weight.device.limits;
  if (weight.bytes <= limit || transposed) return 1;
  const fits = (parts: number) =>
    inner % (8 * parts) === 0 && weight.bytes / parts <= limit && (weight.bytes / parts) % alignment === 0;
  for (let parts = 2; parts <= inner / 8; parts++) if (fits(parts)) return parts;
  return 1;
}

/** A row of numbers is a row of `parts` pixels, and the product a window over it, whose taps a convolution takes one by one. */
function asConvolution(
  x: Tensor,
  weight: Tensor,
  options: MatmulOptions,
  { rows, inner, columns }: Product,
  parts: number,
  rung?: MatmulRung,
): Tensor {
  const { bias, activation = "none" } = options;
  const residual = options.residual?.reshape([1, rows, 1, columns]);
  const pixels = x.reshape([1, rows, parts, inner / parts]);
  const window = weight.reshape([1, parts, inner / parts, columns]);
  return conv2d(pixels, window, { bias, activation, residual }, rung).reshape([...x.shape.slice(0, -1), columns]);
}

function chooseRung(x: Tensor, weight: Tensor, options: MatmulOptions, product: Product): MatmulRung {
  const { device } = x;
  const { inner, columns } = product;
  if (options.transposed || inner % 4 !== 0 || columns % 4 !== 0) return "naive";
  if (takesSoftware(device)) return "software";
  if (
    device.tier === "matrix" &&
    matrixFits(x, weight, options, product) &&
    device.accepts("matmul/matrix", "matmul/matrix-slab", "matmul/slabs")
  )
    return "matrix";
  return device.accepts("matmul/tiled", "matmul/tiled-slab", "matmul/slabs") ? "tiled" : "naive";
}
