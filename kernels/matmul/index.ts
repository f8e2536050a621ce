/** @file GEMM: y = activation(x weight + bias) + residual. */
import { expectShape, ShapeError, type Tensor } from "../../engine/index.ts";
import { checkEpilogue, type EpilogueOptions } from "./epilogue.ts";
import { type MatmulRung, matmulRungs } from "./rungs.ts";

export { matmulNaive } from "./naive.ts";
export { type MatmulRung, matmulRungs } from "./rungs.ts";
export { matmulTiled } from "./tiled.ts";

export interface MatmulOptions extends EpilogueOptions {
  /** The weight is [N, K] and not [K, N]. */
  readonly transposed?: boolean;
}

/** x [rows, inner] times [inner, columns]. */
export interface Product {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/**
 * x [..., K] times weight [K, N] ([N, K] where `transposed`) -> [..., N] in x's dtype. Sums in f32. bias is f32 [N]; the residual has
 * the output's shape. Throws a ShapeError where the shapes don't fit. `rung` forces one, for tests and bench.
 */
export function matmul(x: Tensor, weight: Tensor, options: MatmulOptions = {}, rung?: MatmulRung): Tensor {
  const { rows, inner } = expectShape("matmul", x, ["...rows", "inner"]);
  const { transposed = false } = options;
  expectShape("matmul", weight, ["inner", "columns"]);
  const [first, second] = weight.shape as [number, number];
  const [weightInner, columns] = transposed ? [second, first] : [first, second];
  if (weightInner !== inner) {
    throw new ShapeError(
      `matmul: inner sizes differ - x is [${x.shape.join(", ")}] (K = ${inner}), ` +
        `the weight ${transposed ? "transposed " : ""}[${weight.shape.join(", ")}] (K = ${weightInner})`,
    );
  }
  checkEpilogue("matmul", options, [...x.shape.slice(0, -1), columns]);
  const product = { rows, inner, columns };
  return matmulRungs[rung ?? chooseRung(x, product, transposed)](x, weight, options, product);
}

function chooseRung({ device }: Tensor, { inner, columns }: Product, transposed: boolean): MatmulRung {
  if (transposed || inner % 4 !== 0 || columns % 4 !== 0) return "naive";
  if (device.tier === "software" && (device.subgroupSize === 8 || device.subgroupSize === 4)) return "software";
  return "tiled";
}
