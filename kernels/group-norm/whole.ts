/** @file Group-norm of small maps in one launch: one workgroup has a whole group of a sample. */
import { defineKernel } from "../../engine/index.ts";
import { silu } from "../snippets.ts";
import { input4, inputBuffers, inputFlags, inputUniforms } from "./input.ts";

/**
 * Grid: [groups, samples]. A group's channels must be whole vectors: `width` of them a group, `quads` a pixel. x is read three times
 * (mean, variance, result), from cache after the first. Sums across the workgroup are trees in a fixed order; WORKGROUP_SIZE is a
 * power of two (one subgroup on a software adapter, where barriers cost by the subgroup).
 */
export const groupNormWhole = defineKernel({
  name: "group-norm",
  rung: "whole",
  buffers: {
    ...inputBuffers,
    gain: { access: "read", type: "f32", vec: 4 },
    shift: { access: "read", type: "f32", vec: 4 },
    y: { access: "write", vec: 4 },
  },
  uniforms: { pixels: "u32", ...inputUniforms, width: "u32", eps: "f32" },
  flags: { SILU: false, ...inputFlags },
  snippets: [silu, input4],
  wgsl: /* wgsl */ `
    var<workgroup> parts: array<f32, WORKGROUP_SIZE>;

    // Sum of one number of each invocation, the same in all of them.
    fn total(value: f32, local: u32) -> f32 {
      parts[local] = value;
      for (var step = WORKGROUP_SIZE / 2u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if (local < step) { parts[local] += parts[local + step]; }
      }
      return workgroupUniformLoad(&parts[0]);
    }

    // A place in the group's list of vectors: pixel and vector in the pixel.
    struct Place { pixel: u32, quad: u32 }

    // WORKGROUP_SIZE places on; without a division, which no SIMD unit has for integers.
    fn next(place: Place, pixels: u32, quads: u32) -> Place {
      let quad = place.quad + quads;
      let carry = u32(quad >= uniforms.width);
      return Place(place.pixel + pixels + carry, quad - carry * uniforms.width);
    }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
      let first = group.x * uniforms.width;
      let row = group.y * uniforms.pixels;
      let start = Place(local / uniforms.width, local % uniforms.width);
      let step_pixels = WORKGROUP_SIZE / uniforms.width;
      let step_quads = WORKGROUP_SIZE % uniforms.width;
      let count = f32(4u * uniforms.pixels * uniforms.width);

      var sum = vec4f();
      for (var at = start; at.pixel < uniforms.pixels; at = next(at, step_pixels, step_quads)) {
        sum += input4(row + at.pixel, first + at.quad);
      }
      let mean = total(dot(sum, vec4f(1.0)), local) / count;

      var squares = vec4f();
      for (var at = start; at.pixel < uniforms.pixels; at = next(at, step_pixels, step_quads)) {
        let distance = input4(row + at.pixel, first + at.quad) - mean;
        squares += distance * distance;
      }
      let inverse_deviation = inverseSqrt(total(dot(squares, vec4f(1.0)), local) / count + uniforms.eps);

      for (var at = start; at.pixel < uniforms.pixels; at = next(at, step_pixels, step_quads)) {
        let quad = first + at.quad;
        let value = (input4(row + at.pixel, quad) - mean) * inverse_deviation * gain[quad] + shift[quad];
        let j = (row + at.pixel) * uniforms.quads + quad;
        if (SILU) { y[j] = Element4(silu4(value)); } else { y[j] = Element4(value); }
      }
    }`,
});
