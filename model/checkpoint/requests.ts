/** @file What a module may ask for: from shapes in the file to a shape and a layout on the device. */
import { ModelFileError } from "../../engine/index.ts";
import { convLayout, flatLayout, type Layout, linearLayout, roundUp4 } from "./permute.ts";
import { printable } from "./printable.ts";
import type { TensorEntry } from "./safetensors.ts";

/** A tensor to make on the device from one or more of the file. */
export interface Request {
  /** Tells requests for the same tensors apart. */
  readonly kind: string;
  readonly isMatrix: boolean;
  /** Device shape. */
  readonly shape: readonly number[];
  readonly layout: Layout;
  /** Outputs of each tensor of the file, side by side on the device. */
  readonly outputs: readonly number[];
}

/** See Weights.linear and Weights.concatLinear. @throws ModelFileError CHECKPOINT_SHAPE */
export function requestLinear(file: string, entries: readonly TensorEntry[]): Request {
  const inputs = entries[0]?.shape[1] ?? 0;
  for (const entry of entries) {
    const [outputs = 0, inner = 0, ...taps] = entry.shape;
    const isMatrix = entry.shape.length === 2 || (entry.shape.length === 4 && taps.every((size) => size === 1));
    if (!isMatrix || outputs < 1 || inner !== inputs || inner < 1) {
      refuse(file, entry, entries.length > 1 ? `a matrix [out, ${inputs}] beside the others` : "a matrix [out, in]");
    }
  }
  const outputs = entries.map((entry) => entry.shape[0] ?? 0);
  const layout = linearLayout(sum(outputs), inputs);
  return { kind: "linear", isMatrix: true, shape: [inputs, layout.width], layout, outputs };
}

/** See Weights.matrix. @throws ModelFileError CHECKPOINT_SHAPE */
export function requestMatrix(file: string, entry: TensorEntry): Request {
  const size = product(entry.shape);
  if (entry.shape.length !== 2 || size < 1 || size % 4 !== 0)
    refuse(file, entry, "a matrix [in, out] of a multiple of 4 elements");
  return { kind: "matrix", isMatrix: true, shape: entry.shape, layout: flatLayout(size), outputs: [size] };
}

/** See Weights.conv. @throws ModelFileError CHECKPOINT_SHAPE */
export function requestConv(file: string, entry: TensorEntry, padInput: number): Request {
  const [outputs = 0, inputs = 0, height = 0, width = 0] = entry.shape;
  if (entry.shape.length !== 4 || product(entry.shape) < 1) refuse(file, entry, "a convolution [out, in, height, width]");
  const deviceInputs = roundUp4(Math.max(inputs, padInput));
  const layout = convLayout(outputs, inputs, height * width, deviceInputs);
  const shape = [height, width, deviceInputs, layout.width];
  return { kind: `conv:${deviceInputs}`, isMatrix: true, shape, layout, outputs: [outputs] };
}

/** See Weights.vector and Weights.concatVector. @throws ModelFileError CHECKPOINT_SHAPE */
export function requestVector(file: string, entries: readonly TensorEntry[], pad: number): Request {
  for (const entry of entries) if (entry.shape.length !== 1 || product(entry.shape) < 1) refuse(file, entry, "a vector [n]");
  const outputs = entries.map((entry) => entry.shape[0] ?? 0);
  const width = roundUp4(Math.max(sum(outputs), pad));
  const layout = { ...flatLayout(sum(outputs)), width, size: width, padded: width !== sum(outputs) };
  return { kind: `vector:${width}`, isMatrix: false, shape: [width], layout, outputs };
}

/** A table for the CPU needs two axes. @throws ModelFileError CHECKPOINT_SHAPE */
export function expectTable(file: string, entry: TensorEntry): void {
  if (entry.shape.length !== 2 || product(entry.shape) < 1) refuse(file, entry, "a table [rows, width]");
}

function refuse(file: string, entry: TensorEntry, expected: string): never {
  const name = printable(entry.name);
  throw new ModelFileError("CHECKPOINT_SHAPE", `${file}: tensor "${name}" is [${entry.shape}], expected ${expected}`, {
    hint: "the checkpoint is damaged, or of another family than its other tensors say",
    context: { file, tensor: name, shape: entry.shape },
  });
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const product = (values: readonly number[]): number => values.reduce((total, value) => total * value, 1);
