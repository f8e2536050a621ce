/** @file The rungs of GEMM as functions of one signature: how each is launched, in bands of rows where a tensor is large. */
import { perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { inBands } from "../bands.ts";
import { conv2d, softwareGeglu as convolutionGeglu } from "../conv2d/index.ts";
import { activationCode } from "../snippets.ts";
import { epilogueTerms, gegluCode } from "./epilogue.ts";
import { matmulMatrix, matmulMatrixSlab } from "./matrix.ts";
import { type MatrixPlan, matrixPlan } from "./matrix-plan.ts";
import { words } from "./matrix-tile.ts";
import { matmulNaive } from "./naive.ts";
import type { MatmulOptions, Product } from "./product.ts";
import { addSlabs, emptySlabs } from "./slabs.ts";
import { slabUniforms, slicedTile, tileGrid, tileOf } from "./tile.ts";
import { matmulTiled, matmulTiledSlab } from "./tiled.ts";

type Rung = (x: Tensor, weight: Tensor, options: MatmulOptions, product: Product) => Tensor;

/** Every rung by name; each takes what it can and throws a ShapeError otherwise. */
export const matmulRungs = { naive, tiled, software, matrix } satisfies Record<string, Rung>;
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
  const sliced = slicedTile(x.device, rows, columns, inner);
  if (sliced && inOneBand(x, product)) {
    x.device.scope(() => {
      const slabs = emptySlabs(x.device, sliced);
      const uniforms = { rows, quads: columns / 4, inner_quads: inner / 4, ...slabUniforms(sliced) };
      matmulTiledSlab.launch({ x, weight, slabs }, uniforms, [sliced.across, sliced.down, sliced.slices]);
      addSlabs(slabs, y, { bias, residual, activation, rows, columns, sampleRows: rows }, sliced);
    });
    return y;
  }
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

/** Whether subgroup matrices can do a product: f16 operands, rows in eights, and a device that has a configuration for it. */
export function matrixFits(x: Tensor, weight: Tensor, { transposed = false }: MatmulOptions, product: Product): boolean {
  return !transposed && x.dtype === "f16" && weight.dtype === "f16" && matrixPlan(x.device, product) !== undefined;
}

/** `plan`: another way to cut it up than the one that should be quickest. */
export function matrix(
  x: Tensor,
  weight: Tensor,
  options: MatmulOptions,
  product: Product,
  plan: MatrixPlan | undefined = matrixPlan(x.device, product, inOneBand(x, product)),
): Tensor {
  if (!plan || !matrixFits(x, weight, options, product)) return refuseMatrix(x, weight, product);
  const { rows, inner, columns } = product;
  const { bias, residual, activation = "none" } = options;
  const y = output(x, columns);
  const shape = { quads: columns / 4, octets: columns / 8, inner, steps: plan.steps, slice: plan.slice };
  const tunables = { ...plan.tunables, ACTIVATION: activationCode[activation] };
  if (plan.slices > 1) {
    x.device.scope(() => {
      const slabs = emptySlabs(x.device, plan);
      const operands = { x: words(x), weight: words(weight), slabs };
      matmulMatrixSlab.launch(operands, { rows, ...shape }, [plan.across, plan.down, plan.slices], { tunables: plan.tunables });
      addSlabs(slabs, y, { bias, residual, activation, rows, columns, sampleRows: rows }, plan);
    });
    return y;
  }
  inBands("matmul", rows, banded(x, y, residual), (band, count) => {
    const uniforms = { rows: count, ...shape, ...epilogueTerms({ bias, residual }, 4) };
    const buffers = { ...band, x: words(band.x), weight: words(weight), bias };
    matmulMatrix.launch(buffers, uniforms, [plan.across, Math.ceil(count / plan.rows)], { tunables });
  });
  return y;
}

/** geglu(x weight + bias) in one launch: [rows, columns / 2]. */
export function matrixGeglu(x: Tensor, weight: Tensor, bias: Tensor | undefined, product: Product): Tensor {
  const plan = matrixPlan(x.device, product, false);
  if (!plan || product.columns % 16 !== 0 || !matrixFits(x, weight, {}, product)) return refuseMatrix(x, weight, product);
  const { rows, inner, columns } = product;
  const y = output(x, columns / 2);
  const shape = { quads: columns / 8, octets: columns / 8, inner, steps: plan.steps, slice: plan.slice };
  inBands("matmul", rows, { x, y }, (band, count) => {
    const uniforms = { rows: count, ...shape, ...epilogueTerms({ bias }, 4) };
    const buffers = { x: words(band.x), weight: words(weight), y: band.y, bias };
    const tunables = { ...plan.tunables, ACTIVATION: gegluCode };
    matmulMatrix.launch(buffers, uniforms, [plan.across, Math.ceil(count / plan.rows)], { tunables });
  });
  return y;
}

/** The same on the tiled rung. */
export function tiledGeglu(x: Tensor, weight: Tensor, bias: Tensor | undefined, product: Product): Tensor {
  expectQuads({}, { ...product, columns: product.columns / 2 });
  const { rows, inner, columns } = product;
  const y = output(x, columns / 2);
  const tile = tileOf(x.device, rows, columns);
  inBands("matmul", rows, { x, y }, (band, count) => {
    const uniforms = { rows: count, quads: columns / 8, inner_quads: inner / 4, ...epilogueTerms({ bias }, 4), eight: 8 };
    matmulTiled.launch({ ...band, weight, bias }, uniforms, tileGrid(count, columns, tile), {
      tunables: { ACTIVATION: gegluCode, WORKGROUP_SIZE: tile.rows },
    });
  });
  return y;
}

/** The same on the software rung, where values and gates are eights. */
export function softwareGeglu(x: Tensor, weight: Tensor, bias: Tensor | undefined, { rows, inner, columns }: Product): Tensor {
  const y = convolutionGeglu(x.reshape([1, rows, 1, inner]), weight.reshape([1, 1, inner, columns]), bias);
  return y.reshape([...x.shape.slice(0, -1), columns / 2]);
}

function refuseMatrix(x: Tensor, weight: Tensor, { inner, columns }: Product): never {
  throw new ShapeError(
    `matmul: subgroup matrices need f16 operands with rows in eights and a device that has them, got ${x.dtype} [.., ${inner}] and ` +
      `${weight.dtype} [${inner}, ${columns}]`,
    { hint: "use the tiled rung" },
  );
}

/** Whether x and y are small enough for one launch. */
function inOneBand(x: Tensor, { inner, columns }: Product): boolean {
  return x.bytes * Math.max(1, columns / inner) <= x.device.limits.maxStorageBufferBindingSize;
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
