/** @file Group-norm, second pass: y = x * factor + summand for each channel, and SiLU of it where asked. */
import { defineKernel } from "../../engine/index.ts";
import { flatIndex, silu } from "../snippets.ts";
import { input4, inputBuffers, inputFlags, inputUniforms } from "./input.ts";

/**
 * An invocation takes four channels (`quads` of them a pixel) of PIXELS neighbouring pixels, so that the factors are loaded once.
 * `affine` [samples, 2, channels] comes from group-norm-combine; `first_sample` is the sample that the band x belongs to.
 */
export const groupNormApply = defineKernel({
  name: "group-norm-apply",
  buffers: { ...inputBuffers, affine: { access: "read", type: "f32", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { samples: "u32", first_sample: "u32", pixels: "u32", ...inputUniforms },
  flags: { SILU: false, ...inputFlags },
  tunables: { PIXELS: 4 },
  snippets: [flatIndex, silu, input4],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      let runs = (uniforms.pixels + PIXELS - 1u) / PIXELS;            // of PIXELS pixels, in a sample
      let quad = i % uniforms.quads;
      let run = (i / uniforms.quads) % runs;
      let sample = i / uniforms.quads / runs;
      if (sample >= uniforms.samples) { return; }
      let at = (uniforms.first_sample + sample) * 2u * uniforms.quads + quad;
      let factor = affine[at];
      let summand = affine[at + uniforms.quads];
      let row = sample * uniforms.pixels;
      let end = min((run + 1u) * PIXELS, uniforms.pixels);
      for (var p = run * PIXELS; p < end; p++) {
        let value = input4(row + p, quad) * factor + summand;
        let j = (row + p) * uniforms.quads + quad;
        if (SILU) { y[j] = Element4(silu4(value)); } else { y[j] = Element4(value); }
      }
    }`,
});
