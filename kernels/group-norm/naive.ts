/** @file Group-norm, the readable rung: one invocation for each sample and group. Takes any number of channels. */
import { defineKernel } from "../../engine/index.ts";
import { flatIndex, silu } from "../snippets.ts";

/**
 * Mean and variance of a group's pixels x channels (two passes: the variance is of the distances from the mean), then
 * y = (x - mean) / sqrt(variance + eps) * gain + shift, and SiLU of it where asked. The first `own` channels are x's, the others
 * those of `beside`.
 */
export const groupNormNaive = defineKernel({
  name: "group-norm",
  rung: "naive",
  buffers: {
    x: "read",
    beside: { access: "read", optional: true },
    gain: { access: "read", type: "f32" },
    shift: { access: "read", type: "f32" },
    y: "write",
  },
  uniforms: { samples: "u32", pixels: "u32", channels: "u32", own: "u32", groups: "u32", eps: "f32" },
  flags: { SILU: false },
  snippets: [flatIndex, silu],
  wgsl: /* wgsl */ `
    fn input(pixel: u32, channel: u32) -> f32 {
      if (channel < uniforms.own) { return f32(x[pixel * uniforms.own + channel]); }
      return f32(beside[pixel * (uniforms.channels - uniforms.own) + channel - uniforms.own]);
    }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.samples * uniforms.groups) { return; }
      let width = uniforms.channels / uniforms.groups;               // channels of a group
      let first = (i % uniforms.groups) * width;
      let begin = (i / uniforms.groups) * uniforms.pixels;           // pixels of the sample
      let end = begin + uniforms.pixels;
      let count = f32(uniforms.pixels * width);

      var sum = 0.0;
      for (var p = begin; p < end; p++) {
        for (var c = first; c < first + width; c++) { sum += input(p, c); }
      }
      let mean = sum / count;

      var squares = 0.0;
      for (var p = begin; p < end; p++) {
        for (var c = first; c < first + width; c++) {
          let distance = input(p, c) - mean;
          squares += distance * distance;
        }
      }
      let inverse_deviation = inverseSqrt(squares / count + uniforms.eps);

      for (var p = begin; p < end; p++) {
        for (var c = first; c < first + width; c++) {
          let value = (input(p, c) - mean) * inverse_deviation * gain[c] + shift[c];
          y[p * uniforms.channels + c] = Element(select(value, silu(value), SILU));
        }
      }
    }`,
});
