/** @file Norms of a weight's outputs or inputs, as DoRA needs them (Liu et al. 2024, eq. 5). */
import { defineKernel, perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";
import { expectWindow, uniformsOf, type WeightWindow, weightAt, windowUniforms } from "./window.ts";

/** One invocation for one output or input. Sums of 64 are added up, so that long rows keep their digits. */
export const weightGainKernel = defineKernel({
  name: "weight-gain",
  buffers: {
    weight: { access: "read", type: "f32" },
    delta: { access: "read", type: "f32", optional: true },
    magnitude: { access: "read", type: "f32", optional: true },
    gain: { access: "write", type: "f32" },
  },
  uniforms: { ...windowUniforms, inner: "u32", scale: "f32", epsilon: "f32" },
  flags: { DELTA: false, MAGNITUDE: false, BY_INPUT: false },
  snippets: [flatIndex, weightAt],
  wgsl: /* wgsl */ `
    fn square(output: u32, j: u32) -> f32 {
      var w = weight[weight_at(output, j)];
      if (DELTA) { w += uniforms.scale * delta[output * uniforms.inner + j]; }
      return w * w;
    }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      let across = select(uniforms.outputs, uniforms.inner / uniforms.taps, BY_INPUT);
      if (i >= across) { return; }
      let along = select(uniforms.inner, uniforms.outputs * uniforms.taps, BY_INPUT);
      var sum = 0.0;
      for (var begin = 0u; begin < along; begin += 64u) {
        var part = 0.0;
        for (var k = begin; k < min(begin + 64u, along); k++) {
          if (BY_INPUT) {
            part += square(k / uniforms.taps, i * uniforms.taps + k % uniforms.taps);
          } else {
            part += square(i, k);
          }
        }
        sum += part;
      }
      var factor = 1.0;
      if (MAGNITUDE) { factor = magnitude[i]; }
      gain[i] = factor / (sqrt(sum) + uniforms.epsilon);
    }`,
});

export interface GainOptions {
  /** Whose norms: of each output over its inputs, or of each input over all outputs. */
  readonly axis: "output" | "input";
  /** D, f32 [outputs, inner], and its factor: the norms are of W + scale D then. */
  readonly delta?: Tensor | undefined;
  readonly scale?: number;
  /** f32 [outputs] or [inputs], along `axis`; ones if not given. */
  readonly magnitude?: Tensor | undefined;
  readonly epsilon: number;
}

/** magnitude / (norm + epsilon): f32 [outputs] or [inputs]. Throws a ShapeError for a D or magnitude of another size. */
export function weightGain(window: WeightWindow, { axis, delta, scale = 1, magnitude, epsilon }: GainOptions): Tensor {
  expectWindow("weightGain", window);
  const { outputs, inner, taps, tensor } = window;
  const count = axis === "output" ? outputs : inner / taps;
  if ((delta?.size ?? outputs * inner) !== outputs * inner || (magnitude?.size ?? count) !== count) {
    throw new ShapeError(
      `weightGain: a weight [${outputs}, ${inner}] by ${axis} with D ${delta?.label ?? "none"} and magnitudes ${magnitude?.label ?? "none"}`,
    );
  }
  const gain = tensor.device.empty([count], "f32", "gain");
  weightGainKernel.launch(
    { weight: tensor, delta, magnitude, gain },
    { ...uniformsOf(window), inner, scale, epsilon },
    perElement(count),
    { flags: { DELTA: delta !== undefined, MAGNITUDE: magnitude !== undefined, BY_INPUT: axis === "input" } },
  );
  return gain;
}
