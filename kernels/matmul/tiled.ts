/** @file GEMM, the rung for GPUs: tiles in workgroup memory, 8 x 8 sums in registers. inner and columns are multiples of 4. */
import { defineKernel } from "../../engine/index.ts";
import { epilogue, epilogueBuffers, epilogueUniforms } from "./epilogue.ts";
import { tiledProduct } from "./tile.ts";

/** x [rows, inner] times weight [inner, columns] -> y [rows, columns], all read as vectors of four. */
export const matmulTiled = defineKernel({
  name: "matmul",
  rung: "tiled",
  buffers: {
    x: { access: "read", vec: 4 },
    weight: { access: "read", type: "Weight", vec: 4 },
    y: { access: "write", vec: 4 },
    ...epilogueBuffers,
  },
  uniforms: { rows: "u32", quads: "u32", inner_quads: "u32", ...epilogueUniforms, eight: "u32" },
  tunables: { ACTIVATION: 0 },
  snippets: [epilogue, tiledProduct],
  wgsl: /* wgsl */ `
    // Where four rows begin.
    struct Rows { begin: vec4u }

    fn find_rows(first: u32) -> Rows {
      return Rows(min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(uniforms.rows - 1u)) * uniforms.inner_quads);
    }

    fn load_rows(rows: Rows, quad: u32) -> mat4x4f {
      let at = rows.begin + quad;
      return mat4x4f(vec4f(x[at.x]), vec4f(x[at.y]), vec4f(x[at.z]), vec4f(x[at.w]));
    }

    fn sample_of(row: u32) -> u32 { return 0u; }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) local: u32,
    ) {
      tiled_product(group, groups, local);
    }`,
});
