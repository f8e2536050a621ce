/** @file GEMM, the readable rung: one invocation for one number of the output. Any shape. */
import { defineKernel } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";
import { epilogueUniforms, scalarEpilogue, scalarEpilogueBuffers } from "./epilogue.ts";

/** x [rows, inner] times weight [inner, columns] (or [columns, inner] where TRANSPOSED) -> y [rows, columns]. */
export const matmulNaive = defineKernel({
  name: "matmul",
  rung: "naive",
  buffers: { x: "read", weight: { access: "read", type: "Weight" }, y: "write", ...scalarEpilogueBuffers },
  uniforms: { rows: "u32", columns: "u32", inner: "u32", ...epilogueUniforms },
  flags: { TRANSPOSED: false },
  tunables: { ACTIVATION: 0 },
  snippets: [flatIndex, scalarEpilogue],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.columns) { return; }
      let row = i / uniforms.columns;
      let column = i % uniforms.columns;
      var sum = 0.0;
      for (var k = 0u; k < uniforms.inner; k++) {
        let at = select(k * uniforms.columns + column, column * uniforms.inner + k, TRANSPOSED);
        sum += f32(x[row * uniforms.inner + k]) * f32(weight[at]);
      }
      y[i] = Element(epilogue(sum, row, column, 0u));
    }`,
});
