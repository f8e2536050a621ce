/** @file GEMM, the rung for GPUs: tiles in workgroup memory, 8 x 8 sums in registers. inner and columns are multiples of 4. */
import { defineKernel, defineSnippet } from "../../engine/index.ts";
import { epilogue, epilogueBuffers, epilogueUniforms } from "./epilogue.ts";
import { sliceUniforms, tiledProduct, tileSlice, wholeTile } from "./tile.ts";

const plainRows = defineSnippet({
  name: "plain_rows",
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

    fn sample_of(row: u32) -> u32 { return 0u; }`,
});

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
  snippets: [epilogue, plainRows, tiledProduct, wholeTile],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) local: u32,
    ) {
      tiled_product(group, groups, local);
    }`,
});

/** The same for a slice of the inner numbers each workgroup: sums only, see tileSlice. */
export const matmulTiledSlab = defineKernel({
  name: "matmul",
  rung: "tiled-slab",
  buffers: {
    x: { access: "read", vec: 4 },
    weight: { access: "read", type: "Weight", vec: 4 },
    slabs: { access: "write", type: "f32", vec: 4 },
  },
  uniforms: { rows: "u32", quads: "u32", inner_quads: "u32", ...sliceUniforms },
  tunables: { ACTIVATION: 0 },
  snippets: [plainRows, tiledProduct, tileSlice],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) local: u32,
    ) {
      tiled_product(group, groups, local);
    }`,
});
