/**
 * @file Layer-norm for software adapters: one invocation for each row, in vectors of four. There loads cost the same wherever they
 * go, while sums across invocations are dear (lavapipe: a subgroupAdd costs as much as nine loads).
 */
import { defineKernel } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";

/** `quads`: vectors in a row. The variance is of the distances from the mean. */
export const layerNormSoftware = defineKernel({
  name: "layer-norm",
  rung: "software",
  buffers: {
    x: { access: "read", vec: 4 },
    gain: { access: "read", type: "f32", vec: 4 },
    shift: { access: "read", type: "f32", vec: 4 },
    y: { access: "write", vec: 4 },
  },
  uniforms: { rows: "u32", quads: "u32", eps: "f32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let row = flat_index(id, grid);
      if (row >= uniforms.rows) { return; }
      let first = row * uniforms.quads;
      let width = f32(4u * uniforms.quads);

      var sum = vec4f();
      for (var c = 0u; c < uniforms.quads; c++) { sum += vec4f(x[first + c]); }
      let mean = dot(sum, vec4f(1.0)) / width;

      var squares = vec4f();
      for (var c = 0u; c < uniforms.quads; c++) {
        let distance = vec4f(x[first + c]) - mean;
        squares += distance * distance;
      }
      let inverse_deviation = inverseSqrt(dot(squares, vec4f(1.0)) / width + uniforms.eps);

      for (var c = 0u; c < uniforms.quads; c++) {
        y[first + c] = Element4((vec4f(x[first + c]) - mean) * inverse_deviation * gain[c] + shift[c]);
      }
    }`,
});
