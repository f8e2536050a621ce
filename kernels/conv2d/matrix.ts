/** @file Convolution, the rung for subgroup matrices (tensor cores). f16; channels and outputs are multiples of 8. */
import { defineKernel, defineSnippet } from "../../engine/index.ts";
import { epilogue, epilogueUniforms, matrixEpilogueBuffers } from "../matmul/epilogue.ts";
import {
  matrixFeatures,
  matrixOperands,
  matrixSums,
  matrixTunables,
  matrixUniforms,
  storeSlab,
  storeTile,
} from "../matmul/matrix-tile.ts";
import { convolutionFlags, convolutionUniforms, wrapped } from "./gather.ts";

/** As gather, for one pixel at a time, eight channels of it. */
const gatheredRows = defineSnippet({
  name: "gathered_rows",
  needs: [wrapped],
  wgsl: /* wgsl */ `
    struct Row { sample: u32, top: i32, left: i32 }

    fn sample_of(row: u32) -> u32 { return uniforms.first_sample + row / uniforms.sample_pixels; }

    // Rows past the end stand for the last one: they are computed, but not stored.
    fn find_row(index: u32) -> Row {
      let row = min(index, uniforms.rows - 1u);
      let sample = row / uniforms.sample_pixels;
      let pixel = row - sample * uniforms.sample_pixels;
      let down = pixel / uniforms.out_width;
      let right = pixel - down * uniforms.out_width;
      return Row(
        sample,
        i32((down + uniforms.first_row) * uniforms.stride) - i32(uniforms.top),
        i32(right * uniforms.stride) - i32(uniforms.left),
      );
    }

    fn load_octet(row: Row, octet: u32) -> vec4u {
      let tap = octet / uniforms.channel_octets;
      let channel = octet - tap * uniforms.channel_octets;
      let dy = tap / uniforms.kernel_width;
      // A row or column before the first becomes a huge number, so one comparison finds both borders.
      let down = u32(wrapped(row.top + i32(dy), uniforms.map_height));
      let right = u32(wrapped(row.left + i32(tap - dy * uniforms.kernel_width), uniforms.map_width));
      if (down >= uniforms.map_height || right >= uniforms.map_width) { return vec4u(); }
      let input_row = row.sample * uniforms.input_rows + (down >> uniforms.upsample) - uniforms.first_input_row;
      return x[(input_row * uniforms.width + (right >> uniforms.upsample)) * uniforms.channel_octets + channel];
    }`,
});

const uniforms = { ...convolutionUniforms, ...matrixUniforms, channel_octets: "u32" } as const;

/** x [N, H, W, channels] under weight [KH, KW, channels, columns] -> y [N, H', W', columns]. */
export const conv2dMatrix = defineKernel({
  name: "conv2d",
  rung: "matrix",
  buffers: { ...matrixOperands, y: { access: "write", type: "f16", vec: 4 }, ...matrixEpilogueBuffers },
  uniforms: { ...uniforms, ...epilogueUniforms },
  flags: convolutionFlags,
  tunables: matrixTunables,
  features: matrixFeatures,
  snippets: [epilogue, gatheredRows, matrixSums, storeTile],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(INVOCATIONS)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
      store_tile(matrix_sums(group, local), group, local);
    }`,
});

/** The same for a slice of the inner numbers each workgroup: sums only, see storeSlab. */
export const conv2dMatrixSlab = defineKernel({
  name: "conv2d",
  rung: "matrix-slab",
  buffers: { ...matrixOperands, slabs: { access: "write", type: "f32", vec: 4 } },
  uniforms,
  flags: convolutionFlags,
  tunables: matrixTunables,
  features: matrixFeatures,
  snippets: [gatheredRows, matrixSums, storeSlab],
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
