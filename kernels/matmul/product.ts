/** @file What a matrix product is asked for, and its sizes. */
import { expectShape, ShapeError, type Tensor } from "../../engine/index.ts";
import type { EpilogueOptions } from "./epilogue.ts";

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

/** The sizes of x [..., K] times weight. Throws a ShapeError where they don't fit. */
export function productOf(x: Tensor, weight: Tensor, { transposed = false }: MatmulOptions): Product {
  const { rows, inner } = expectShape("matmul", x, ["...rows", "inner"]);
  expectShape("matmul", weight, ["inner", "columns"]);
  const [first, second] = weight.shape as [number, number];
  const [weightInner, columns] = transposed ? [second, first] : [first, second];
  if (weightInner !== inner) {
    throw new ShapeError(
      `matmul: inner sizes differ - x is [${x.shape.join(", ")}] (K = ${inner}), ` +
        `the weight ${transposed ? "transposed " : ""}[${weight.shape.join(", ")}] (K = ${weightInner})`,
    );
  }
  if (x.size === 0 || weight.size === 0)
    throw new ShapeError(`matmul: x [${x.shape.join(", ")}] or the weight [${weight.shape.join(", ")}] holds nothing`);
  return { rows, inner, columns };
}
