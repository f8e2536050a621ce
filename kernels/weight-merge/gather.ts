/** @file A weight back in the file's order. */
import { defineKernel, perElement, type Tensor } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";
import { expectWindow, uniformsOf, type WeightWindow, weightAt, windowUniforms } from "./window.ts";

export const gatherWeightKernel = defineKernel({
  name: "gather-weight",
  buffers: { weight: { access: "read", type: "f32" }, y: { access: "write", type: "f32" } },
  uniforms: { ...windowUniforms, inner: "u32" },
  snippets: [flatIndex, weightAt],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.outputs * uniforms.inner) { return; }
      y[i] = weight[weight_at(i / uniforms.inner, i % uniforms.inner)];
    }`,
});

/** The window's weight, f32 [outputs, inner], in the file's order. */
export function gatherWeight(window: WeightWindow): Tensor {
  expectWindow("gatherWeight", window);
  const { outputs, inner, tensor } = window;
  const y = tensor.device.empty([outputs, inner], "f32", "weight in file order");
  gatherWeightKernel.launch({ weight: tensor, y }, { ...uniformsOf(window), inner }, perElement(y.size));
  return y;
}
