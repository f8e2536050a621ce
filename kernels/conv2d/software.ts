/**
 * @file Convolution and GEMM, the rung for drivers that run shaders on the CPU, which pay for every load, masked store and barrier
 * but hardly for arithmetic on values that are at hand. A workgroup is one subgroup and shares loads by shuffles alone:
 * no workgroup memory, no barrier. Channels and outputs are multiples of 4.
 */
import { defineKernel } from "../../engine/index.ts";
import { epilogue, epilogueBuffers } from "../matmul/epilogue.ts";
import { rank4Update } from "../matmul/sums.ts";
import { convolutionFlags, convolutionUniforms, gather } from "./gather.ts";

/**
 * A subgroup computes 4 LANES rows (pixels) by 4 LANES columns (output channels): lane i loads rows i, LANES + i, ... of x and
 * columns 4i..4i+3 of the weights. Loops that hold nothing but one load or store run through their registers in turn: lavapipe
 * compiles every load in the text for about 50 ms. Their count is a uniform (4) or Mesa would unroll them.
 */
export const conv2dSoftware = defineKernel({
  name: "conv2d",
  rung: "software",
  buffers: {
    x: { access: "read", vec: 4 },
    weight: { access: "read", type: "Weight", vec: 4 },
    y: { access: "write", vec: 4 },
    ...epilogueBuffers,
  },
  uniforms: { ...convolutionUniforms, channel_quads: "u32", quads: "u32", four: "u32" },
  flags: convolutionFlags,
  tunables: { ACTIVATION: 0, LANES: 8 },
  features: ["subgroups"],
  snippets: [epilogue, gather, rank4Update],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(LANES)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(subgroup_invocation_id) lane: u32,
    ) {
      let first_row = (group.y + group.z * groups.y) * 4u * LANES;
      let quad = group.x * LANES + lane;
      let weight_quad = min(quad, uniforms.quads - 1u);
      let pixels = find_pixels(vec4u(first_row + lane) + vec4u(0u, 1u, 2u, 3u) * LANES);

      var sums0: Sums;
      var sums1: Sums;
      var sums2: Sums;
      var sums3: Sums;
      var k = 0u;                                                       // row of the weights [KH * KW * C, O]
      for (var dy = 0u; dy < uniforms.kernel_height; dy++) {
        for (var dx = 0u; dx < uniforms.kernel_width; dx++) {
          let place = input_pixels(pixels, dy, dx);
          let inside = place != vec4u(OUTSIDE);
          var at = select(vec4u(), place, inside) * uniforms.channel_quads;
          for (var c = 0u; c < uniforms.channel_quads; c++) {
            var a = mat4x4f();
            for (var i = 0u; i < uniforms.four; i++) {
              a = mat4x4f(a[1], a[2], a[3], vec4f(x[at.x]));
              at = at.yzwx;
            }
            at += 1u;
            var b = Columns();
            for (var i = 0u; i < uniforms.four; i++) {
              b = Columns(b.b1, b.b2, b.b3, vec4f(weight[k * uniforms.quads + weight_quad]));
              k++;
            }
            rank4_update(&sums0, select(vec4f(), a[0], inside.x), b);
            rank4_update(&sums1, select(vec4f(), a[1], inside.y), b);
            rank4_update(&sums2, select(vec4f(), a[2], inside.z), b);
            rank4_update(&sums3, select(vec4f(), a[3], inside.w), b);
          }
        }
      }
      for (var i = 0u; i < uniforms.four * LANES; i++) {
        let row = first_row + i;
        if (row < uniforms.rows && quad < uniforms.quads) {
          y[row * uniforms.quads + quad] = Element4(epilogue(sums0[0], row, quad, sample_of(row)));
        }
        shift_lanes(&sums0, sums1[0]);
        shift_lanes(&sums1, sums2[0]);
        shift_lanes(&sums2, sums3[0]);
        shift_lanes(&sums3, vec4f());
      }
    }`,
});
