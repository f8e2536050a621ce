/** @file Convolution, the readable rung: one invocation for one number of the output. Any shape. */
import { defineKernel } from "../../engine/index.ts";
import { scalarEpilogue, scalarEpilogueBuffers } from "../matmul/epilogue.ts";
import { flatIndex } from "../snippets.ts";
import { convolutionFlags, convolutionUniforms, wrapped } from "./gather.ts";

/** x [N, H, W, channels] under weight [KH, KW, channels, columns] -> y [N, H', W', columns]. */
export const conv2dNaive = defineKernel({
  name: "conv2d",
  rung: "naive",
  buffers: { x: "read", weight: { access: "read", type: "Weight" }, y: "write", ...scalarEpilogueBuffers },
  uniforms: { ...convolutionUniforms, channels: "u32", columns: "u32" },
  flags: convolutionFlags,
  tunables: { ACTIVATION: 0 },
  snippets: [flatIndex, scalarEpilogue, wrapped],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.columns) { return; }
      let column = i % uniforms.columns;                                // output channel
      let row = i / uniforms.columns;                                   // output pixel
      let sample = row / uniforms.sample_pixels;
      let down = (row % uniforms.sample_pixels) / uniforms.out_width + uniforms.first_row;
      let right = (row % uniforms.sample_pixels) % uniforms.out_width;

      var sum = 0.0;
      for (var dy = 0u; dy < uniforms.kernel_height; dy++) {
        for (var dx = 0u; dx < uniforms.kernel_width; dx++) {
          let input_row = wrapped(i32(down * uniforms.stride + dy) - i32(uniforms.top), uniforms.map_height);
          let input_column = wrapped(i32(right * uniforms.stride + dx) - i32(uniforms.left), uniforms.map_width);
          if (input_row < 0 || input_row >= i32(uniforms.map_height)) { continue; }
          if (input_column < 0 || input_column >= i32(uniforms.map_width)) { continue; }
          let bound_row = (u32(input_row) >> uniforms.upsample) - uniforms.first_input_row;
          let pixel = (sample * uniforms.input_rows + bound_row) * uniforms.width + (u32(input_column) >> uniforms.upsample);
          let tap = dy * uniforms.kernel_width + dx;
          for (var c = 0u; c < uniforms.channels; c++) {
            sum += f32(x[pixel * uniforms.channels + c]) * f32(weight[(tap * uniforms.channels + c) * uniforms.columns + column]);
          }
        }
      }
      y[i] = Element(epilogue(sum, row, column, uniforms.first_sample + sample));
    }`,
});
