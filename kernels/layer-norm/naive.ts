/** @file Layer-norm, the readable rung: one invocation for each row. Takes any width. */
import { defineKernel } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";

export const layerNormNaive = defineKernel({
  name: "layer-norm",
  rung: "naive",
  buffers: { x: "read", gain: { access: "read", type: "f32" }, shift: { access: "read", type: "f32" }, y: "write" },
  uniforms: { rows: "u32", width: "u32", eps: "f32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let row = flat_index(id, grid);
      if (row >= uniforms.rows) { return; }
      let first = row * uniforms.width;

      var sum = 0.0;
      for (var c = 0u; c < uniforms.width; c++) { sum += f32(x[first + c]); }
      let mean = sum / f32(uniforms.width);

      var squares = 0.0;
      for (var c = 0u; c < uniforms.width; c++) {
        let distance = f32(x[first + c]) - mean;
        squares += distance * distance;
      }
      let inverse_deviation = inverseSqrt(squares / f32(uniforms.width) + uniforms.eps);

      for (var c = 0u; c < uniforms.width; c++) {
        y[first + c] = Element((f32(x[first + c]) - mean) * inverse_deviation * gain[c] + shift[c]);
      }
    }`,
});
