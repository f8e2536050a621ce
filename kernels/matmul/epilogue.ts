/**
 * @file What GEMM and convolution do to a sum before they store it:
 *   y = activation(sum + bias[column] + channelAdd[sample, column]) + residual[row, column]
 * Which terms there are is a uniform and no flag: a branch per stored vector costs nothing, a pipeline more costs its compilation.
 */
import { defineSnippet, expectShape, ShapeError, type Tensor } from "../../engine/index.ts";
import { type Activation, activate, gelu } from "../snippets.ts";

export interface EpilogueOptions {
  /** f32 [N], one number for each output column or channel. */
  readonly bias?: Tensor | undefined;
  /** Added last, after the activation; the output's shape and dtype. */
  readonly residual?: Tensor | undefined;
  readonly activation?: Activation;
}

/** Bits of the uniform `terms`. `gates`: of columns that are values and gates (on the software rung; elsewhere a tunable, gegluCode). */
export const term = { bias: 1, channelAdd: 2, residual: 4, gates: 8 } as const;

export interface EpilogueTensors {
  readonly bias?: Tensor | undefined;
  readonly channel_add?: Tensor | undefined;
  readonly residual?: Tensor | undefined;
}

/** Uniforms of the epilogue; `added_width` and `added_column` count as the kernel reads `channel_add`: in numbers or in fours. */
export const epilogueUniforms = { terms: "u32", added_width: "u32", added_column: "u32" } as const;

/** `channelAddColumn`: where the output's first column lies in the rows of `channel_add`. `unit`: 4 for kernels that read vectors. */
export function epilogueTerms({ bias, channel_add, residual }: EpilogueTensors, unit: 1 | 4, channelAddColumn = 0) {
  return {
    terms: (bias ? term.bias : 0) | (channel_add ? term.channelAdd : 0) | (residual ? term.residual : 0),
    added_width: (channel_add?.shape.at(-1) ?? 0) / unit,
    added_column: channelAddColumn / unit,
  };
}

/** Checks bias and residual against the output's shape, [..., columns]. @throws ShapeError */
export function checkEpilogue(op: string, { bias, residual }: EpilogueOptions, shape: readonly number[]): void {
  const columns = shape.at(-1)!;
  if (bias) expectShape(op, bias, ["columns"], { sizes: { columns }, hint: "the bias has one number for each output column" });
  if (residual && (residual.shape.length !== shape.length || residual.shape.some((size, i) => size !== shape[i]))) {
    throw new ShapeError(`${op}: the residual has shape [${residual.shape.join(", ")}], the output [${shape.join(", ")}]`);
  }
}

/** Buffers of the epilogue's terms, read as vectors of four columns. */
export const epilogueBuffers = {
  bias: { access: "read", type: "f32", vec: 4, optional: true },
  channel_add: { access: "read", type: "Added", vec: 4, optional: true },
  residual: { access: "read", vec: 4, optional: true },
} as const;

/** The same for the matrix rungs, whose activations are f16 always. */
export const matrixEpilogueBuffers = {
  ...epilogueBuffers,
  channel_add: { access: "read", type: "f16", vec: 4, optional: true },
  residual: { access: "read", type: "f16", vec: 4, optional: true },
} as const;

/** The same for the naive rungs, number by number. */
export const scalarEpilogueBuffers = {
  bias: { access: "read", type: "f32", optional: true },
  channel_add: { access: "read", type: "Added", optional: true },
  residual: { access: "read", optional: true },
} as const;

/**
 * `epilogue(sum, bias_of(quad), row, quad)` for four columns, `quad` counting in fours: whoever stores several rows asks for the bias
 * once. Needs epilogueUniforms, `quads` (columns / 4) and `fn sample_of(row: u32) -> u32`.
 */
export const epilogue = defineSnippet({
  name: "epilogue",
  needs: [activate],
  wgsl: /* wgsl */ `
    fn bias_of(quad: u32) -> vec4f {
      if ((uniforms.terms & 1u) == 0u) { return vec4f(); }
      return bias[quad];
    }

    fn epilogue(sum: vec4f, quad_bias: vec4f, row: u32, quad: u32) -> vec4f {
      var value = sum + quad_bias;
      if ((uniforms.terms & 2u) != 0u) {
        value += vec4f(channel_add[sample_of(row) * uniforms.added_width + uniforms.added_column + quad]);
      }
      value = activate4(value);
      if ((uniforms.terms & 4u) != 0u) { value += vec4f(residual[row * uniforms.quads + quad]); }
      return value;
    }`,
});

/**
 * `gated(value, gate, quad)`, the epilogue of a product whose columns' first half are values and whose second half are their gates
 * (GEGLU, Shazeer 2020): (value + bias) gelu(gate + bias), `quad` and uniforms.quads counting the output's columns, half as many.
 */
export const gated = defineSnippet({
  name: "gated",
  needs: [gelu],
  wgsl: /* wgsl */ `
    fn gated(value: vec4f, gate: vec4f, quad: u32) -> vec4f {
      if ((uniforms.terms & 1u) == 0u) { return value * gelu4(gate); }
      return (value + bias[quad]) * gelu4(gate + bias[uniforms.quads + quad]);
    }`,
});

/** Value of the tunable ACTIVATION for it. */
export const gegluCode = 4;

/** `epilogue(sum, row, column, sample)` for one number. Needs epilogueUniforms and `columns`. */
export const scalarEpilogue = defineSnippet({
  name: "scalar_epilogue",
  needs: [activate],
  wgsl: /* wgsl */ `
    fn epilogue(sum: f32, row: u32, column: u32, sample: u32) -> f32 {
      var value = sum;
      if ((uniforms.terms & 1u) != 0u) { value += bias[column]; }
      if ((uniforms.terms & 2u) != 0u) { value += f32(channel_add[sample * uniforms.added_width + uniforms.added_column + column]); }
      value = activate(value);
      if ((uniforms.terms & 4u) != 0u) { value += f32(residual[row * uniforms.columns + column]); }
      return value;
    }`,
});
