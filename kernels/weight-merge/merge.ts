/** @file The change that an add-on makes to a weight, in place. */
import { defineKernel, perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";
import { expectWindow, uniformsOf, type WeightWindow, weightAt, windowUniforms } from "./window.ts";

export const mergeWeightKernel = defineKernel({
  name: "merge-weight",
  buffers: {
    weight: { access: "read_write", type: "f32" },
    delta: { access: "read", type: "f32", optional: true },
    output_gain: { access: "read", type: "f32", optional: true },
    input_gain: { access: "read", type: "f32", optional: true },
  },
  uniforms: { ...windowUniforms, inner: "u32", keep: "f32", scale: "f32", strength: "f32" },
  flags: { DELTA: false, OUTPUT_GAIN: false, INPUT_GAIN: false },
  snippets: [flatIndex, weightAt],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.outputs * uniforms.inner) { return; }
      let output = i % uniforms.outputs;
      let j = i / uniforms.outputs;
      var gain = 1.0;
      if (OUTPUT_GAIN) { gain *= output_gain[output]; }
      if (INPUT_GAIN) { gain *= input_gain[j / uniforms.taps]; }
      var change = 0.0;
      if (DELTA) { change = uniforms.scale * delta[output * uniforms.inner + j]; }
      let at = weight_at(output, j);
      let w = weight[at];
      weight[at] = w + uniforms.strength * (w * (uniforms.keep * gain - 1.0) + change * gain);
    }`,
});

export interface MergeOptions {
  /** D, f32 [outputs, inner], in the file's order; it may have fewer inputs than the weight, whose first ones it changes. */
  readonly delta?: Tensor | undefined;
  /** Factor of D. */
  readonly scale?: number | undefined;
  /** f32 [outputs] and [inputs]: factors of whole outputs and inputs. */
  readonly outputGain?: Tensor | undefined;
  readonly inputGain?: Tensor | undefined;
  /** 0: D takes the weight's place. Default 1. */
  readonly keep?: number | undefined;
  /** How far to go from W to the changed weight. */
  readonly strength: number;
}

/**
 * W += strength ((keep W + scale D) * outputGain * inputGain - W), in place. Throws a ShapeError where D has other outputs or more inputs
 * than the window, or its inputs are cut.
 */
export function mergeWeight(window: WeightWindow, options: MergeOptions): void {
  expectWindow("mergeWeight", window);
  const { delta, outputGain, inputGain, scale = 1, keep = 1, strength } = options;
  const inner = delta ? delta.size / window.outputs : window.inner;
  const gains =
    (outputGain?.size ?? window.outputs) === window.outputs && (inputGain?.size ?? inner / window.taps) === inner / window.taps;
  if (inner > window.inner || inner % window.taps !== 0 || !gains) {
    const shapes = [delta, outputGain, inputGain].map((tensor) => tensor?.label ?? "none").join(", ");
    throw new ShapeError(`mergeWeight: a weight [${window.outputs}, ${window.inner}] with D and gains of ${shapes}`);
  }
  mergeWeightKernel.launch(
    { weight: window.tensor, delta, output_gain: outputGain, input_gain: inputGain },
    { ...uniformsOf(window), inner, keep, scale, strength },
    perElement(window.outputs * inner),
    { flags: { DELTA: delta !== undefined, OUTPUT_GAIN: outputGain !== undefined, INPUT_GAIN: inputGain !== undefined } },
  );
}
