/**
 * @file What group-norm reads: one tensor, or two whose channels lie side by side, so that a U-Net's decoder can normalise a map and
 * the skip beside it without joining them first. A group may reach from one into the other.
 */
import { defineSnippet } from "../../engine/index.ts";

/** Buffers of the kernels that read vectors. Elements of `beside` follow x's in every pixel. */
export const inputBuffers = {
  x: { access: "read", vec: 4 },
  beside: { access: "read", vec: 4, optional: true },
} as const;

/** `quads`: vectors in a pixel, of which the first `own` are x's. */
export const inputUniforms = { quads: "u32", own: "u32" } as const;

/** Off, the second tensor costs nothing. */
export const inputFlags = { BESIDE: false } as const;

/** `input4(pixel, quad)`: four channels of a pixel, counted over all samples. */
export const input4 = defineSnippet({
  name: "input4",
  wgsl: /* wgsl */ `
    fn input4(pixel: u32, quad: u32) -> vec4f {
      if (BESIDE && quad >= uniforms.own) {
        return vec4f(beside[pixel * (uniforms.quads - uniforms.own) + quad - uniforms.own]);
      }
      return vec4f(x[pixel * uniforms.own + quad]);
    }`,
});
