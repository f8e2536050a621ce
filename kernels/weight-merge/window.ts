/** @file The place that one weight of a file has in a device tensor, which may hold several side by side. */
import { defineSnippet, ShapeError, type Tensor } from "../../engine/index.ts";

/**
 * A weight [outputs, inner = inputs * taps] of a file within an f32 tensor of the device's layout: output o, inner index j (tap
 * j % taps of input j / taps) is element `((j % taps) * rowInputs + j / taps) * width + column + o`.
 */
export interface WeightWindow {
  readonly tensor: Tensor;
  readonly outputs: number;
  readonly inner: number;
  readonly taps: number;
  /** Inputs on the device, padding included. */
  readonly rowInputs: number;
  /** Elements of a device row. */
  readonly width: number;
  readonly column: number;
}

/** Uniforms of a window, for kernels with the snippet below. */
export const windowUniforms = { outputs: "u32", taps: "u32", row_inputs: "u32", width: "u32", column: "u32" } as const;

export function uniformsOf({ outputs, taps, rowInputs, width, column }: WeightWindow) {
  return { outputs, taps, row_inputs: rowInputs, width, column };
}

/** `weight_at(output, inner index)`: where an element of the file's weight lies. */
export const weightAt = defineSnippet({
  name: "weight_at",
  wgsl: /* wgsl */ `
    fn weight_at(output: u32, j: u32) -> u32 {
      let row = (j % uniforms.taps) * uniforms.row_inputs + j / uniforms.taps;
      return row * uniforms.width + uniforms.column + output;
    }`,
});

/** Throws a ShapeError for a window that does not lie in its tensor, or a tensor that is no f32. */
export function expectWindow(op: string, window: WeightWindow): void {
  const { tensor, outputs, inner, taps, rowInputs, width, column } = window;
  const inputs = inner / taps;
  const last = ((taps - 1) * rowInputs + inputs - 1) * width + column + outputs - 1;
  const fits = Number.isInteger(inputs) && inputs <= rowInputs && column + outputs <= width && last < tensor.size;
  if (fits && tensor.dtype === "f32") return;
  throw new ShapeError(
    `${op}: a window of ${outputs} outputs from column ${column}, ${inputs} inputs and ${taps} taps is not in ${tensor.label} ` +
      `with ${rowInputs} inputs and rows of ${width}, which must be f32`,
  );
}
