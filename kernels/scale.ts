/** @file A tensor times a number. */
import { defineKernel, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

export const scaleNaive = defineKernel({
  name: "scale",
  rung: "naive",
  buffers: { x: "read", y: "write" },
  uniforms: { count: "u32", factor: "f32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = Element(uniforms.factor * f32(x[i]));
    }`,
});

export const scaleVec4 = defineKernel({
  name: "scale",
  rung: "vec4",
  buffers: { x: { access: "read", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { count: "u32", factor: "f32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = Element4(uniforms.factor * vec4f(x[i]));
    }`,
});

/** factor * x, any shape. The factor is fixed in a capture; see `modelInput` for one that changes from step to step. */
export function scale(x: Tensor, factor: number): Tensor {
  const y = x.device.empty(x.shape, x.dtype, "scale");
  inBands("scale", x.size, { x, y }, (band, count) => {
    if (count % 4 === 0 && x.device.accepts("scale/vec4"))
      scaleVec4.launch(band, { count: count / 4, factor }, perElement(count / 4));
    else scaleNaive.launch(band, { count, factor }, perElement(count));
  });
  return y;
}
