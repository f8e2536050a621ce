/** @file The change that an add-on makes to a weight, in place. */
import { defineKernel, ShapeError, type Tensor } from "../../engine/index.ts";
import { expectWindow, uniformsOf, type WeightWindow, weightAt, windowUniforms } from "./window.ts";

/**
 * An invocation takes one output and BLOCK inner indices: it reads along a row of D, a cache line, and its neighbours' writes lie beside its
 * own.
 */
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
  tunables: { BLOCK: 16 },
  snippets: [weightAt],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let output = id.x;
      if (output >= uniforms.outputs) { return; }
      var output_factor = 1.0;
      if (OUTPUT_GAIN) { output_factor = output_gain[output]; }
      let end = min((id.y + 1u) * BLOCK, uniforms.inner);
      for (var j = id.y * BLOCK; j < end; j++) {
        var gain = output_factor;
        if (INPUT_GAIN) { gain *= input_gain[j / uniforms.taps]; }
        var change = 0.0;
        if (DELTA) { change = uniforms.scale * delta[output * uniforms.inner + j]; }
        let at = weight_at(output, j);
        let w = weight[at];
        weight[at] = w + uniforms.strength * (w * (uniforms.keep * gain - 1.0) + change * gain);
      }
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
    [Math.ceil(window.outputs / 64), Math.ceil(inner / 16)],
    { flags: { DELTA: delta !== undefined, OUTPUT_GAIN: outputGain !== undefined, INPUT_GAIN: inputGain !== undefined } },
  );
}
