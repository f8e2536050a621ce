/** @file GEMM, the rung for subgroup matrices (tensor cores). f16; inner and columns are multiples of 8. */
import { defineKernel, defineSnippet } from "../../engine/index.ts";
import { epilogue, epilogueUniforms, matrixEpilogueBuffers } from "./epilogue.ts";
import {
  matrixFeatures,
  matrixOperands,
  matrixSums,
  matrixTunables,
  matrixUniforms,
  storeSlab,
  storeTile,
} from "./matrix-tile.ts";

const plainRows = defineSnippet({
  name: "plain_rows",
  wgsl: /* wgsl */ `
    struct Row { begin: u32 }

    fn find_row(row: u32) -> Row { return Row(min(row, uniforms.rows - 1u) * (uniforms.inner / 8u)); }

    fn load_octet(row: Row, octet: u32) -> vec4u { return x[row.begin + octet]; }

    fn sample_of(row: u32) -> u32 { return 0u; }`,
});

/** x [rows, inner] times weight [inner, columns] -> y [rows, columns]. */
export const matmulMatrix = defineKernel({
  name: "matmul",
  rung: "matrix",
  buffers: { ...matrixOperands, y: { access: "write", type: "f16", vec: 4 }, ...matrixEpilogueBuffers },
  uniforms: { ...matrixUniforms, ...epilogueUniforms },
  tunables: matrixTunables,
  features: matrixFeatures,
  snippets: [epilogue, plainRows, matrixSums, storeTile],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(INVOCATIONS)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
      store_tile(matrix_sums(group, local), group, local);
    }`,
});

/** The same for a slice of the inner numbers each workgroup: sums only, see storeSlab. */
export const matmulMatrixSlab = defineKernel({
  name: "matmul",
  rung: "matrix-slab",
  buffers: { ...matrixOperands, slabs: { access: "write", type: "f32", vec: 4 } },
  uniforms: matrixUniforms,
  tunables: matrixTunables,
  features: matrixFeatures,
  snippets: [plainRows, matrixSums, storeSlab],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(INVOCATIONS)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) local: u32,
    ) {
      store_slab(matrix_sums(group, local), group, groups, local);
    }`,
});
