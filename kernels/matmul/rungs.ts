/** @file The rungs of GEMM as functions of one signature: how each is launched, in bands of rows where a tensor is large. */
import { perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { inBands } from "../bands.ts";
import { conv2d } from "../conv2d/index.ts";
import { activationCode } from "../snippets.ts";
import { epilogueTerms } from "./epilogue.ts";
import type { MatmulOptions, Product } from "./index.ts";
import { matmulNaive } from "./naive.ts";
import { tileGrid, tileOf } from "./tile.ts";
import { matmulTiled } from "./tiled.ts";

type Rung = (x: Tensor, weight: Tensor, options: MatmulOptions, product: Product) => Tensor;

/** Every rung by name; each takes what it can and throws a ShapeError otherwise. */
export const matmulRungs = { naive, tiled, software } satisfies Record<string, Rung>;
export type MatmulRung = keyof typeof matmulRungs;

function naive(x: Tensor, weight: Tensor, options: MatmulOptions, { rows, inner, columns }: Product): Tensor {
  const { bias, residual, transposed = false, activation = "none" } = options;
  const y = output(x, columns);
  inBands("matmul", rows, banded(x, y, residual), (band, count) => {
    const uniforms = { rows: count, columns, inner, ...epilogueTerms({ bias, residual }, 1) };
    matmulNaive.launch({ ...band, weight, bias }, uniforms, perElement(count * columns), {
      flags: { TRANSPOSED: transposed },
      tunables: { ACTIVATION: activationCode[activation] },
    });
  });
  return y;
}

function tiled(x: Tensor, weight: Tensor, options: MatmulOptions, product: Product): Tensor {
  expectQuads(options, product);
  const { rows, inner, columns } = product;
  const { bias, residual, activation = "none" } = options;
  const y = output(x, columns);
  const tile = tileOf(x.device, rows, columns);
  const tunables = { ACTIVATION: activationCode[activation], WORKGROUP_SIZE: tile.rows };
  inBands("matmul", rows, banded(x, y, residual), (band, count) => {
    const terms = epilogueTerms({ bias, residual }, 4);
    const uniforms = { rows: count, quads: columns / 4, inner_quads: inner / 4, ...terms, eight: 8 };
    matmulTiled.launch({ ...band, weight, bias }, uniforms, tileGrid(count, columns, tile), { tunables });
  });
  return y;
}

/** A product is a convolution of one row of pixels with a window of one; the kernel for it is slow to compile, so they share it. */
function software(x: Tensor, weight: Tensor, options: MatmulOptions, product: Product): Tensor {
  expectQuads(options, product);
  const { rows, inner, columns } = product;
  const { bias, residual, activation = "none" } = options;
  const epilogue = { bias, activation, residual: residual?.reshape([1, rows, 1, columns]) };
  const window = weight.reshape([1, 1, inner, columns]);
  return conv2d(x.reshape([1, rows, 1, inner]), window, epilogue, "software").reshape([...x.shape.slice(0, -1), columns]);
}

function output(x: Tensor, columns: number): Tensor {
  return x.device.empty([...x.shape.slice(0, -1), columns], x.dtype, "matmul");
}

/** The tensors that are cut into bands of rows, where rows must be cut at all. */
function banded(x: Tensor, y: Tensor, residual: Tensor | undefined) {
  return residual ? { x, y, residual } : { x, y };
}

function expectQuads({ transposed = false }: MatmulOptions, { inner, columns }: Product): void {
  if (!transposed && inner % 4 === 0 && columns % 4 === 0) return;
  throw new ShapeError(
    `matmul: this rung needs an untransposed weight with sizes in fours, but it is ${transposed ? "transposed " : ""}[${inner}, ${columns}]`,
    { hint: "use the naive rung, or pad with zeros" },
  );
}
