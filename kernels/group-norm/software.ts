/**
 * @file Group-norm of small maps for software adapters: as whole.ts, with a subgroup for each group, so that there are no barriers,
 * which take such an adapter's compiler longer than all else in a kernel (group-norm/whole on lavapipe: half a second).
 */
import { defineKernel } from "../../engine/index.ts";
import { silu } from "../snippets.ts";

/** Grid: [groups, samples]. `width` vectors a group, `quads` a pixel; LANES is the size of a subgroup and of a workgroup. */
export const groupNormSoftware = defineKernel({
  name: "group-norm",
  rung: "software",
  features: ["subgroups"],
  buffers: {
    x: { access: "read", vec: 4 },
    gain: { access: "read", type: "f32", vec: 4 },
    shift: { access: "read", type: "f32", vec: 4 },
    y: { access: "write", vec: 4 },
  },
  // Not a flag: one pipeline for both is half the time to compile.
  uniforms: { pixels: "u32", quads: "u32", width: "u32", eps: "f32", silu: "u32" },
  tunables: { LANES: 8 },
  snippets: [silu],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(LANES)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
      let first = group.x * uniforms.width;
      let sample = group.y * uniforms.pixels * uniforms.quads + first;
      let count = f32(4u * uniforms.pixels * uniforms.width);

      var sum = vec4f();
      for (var pixel = lane; pixel < uniforms.pixels; pixel += LANES) {
        for (var quad = 0u; quad < uniforms.width; quad++) { sum += vec4f(x[sample + pixel * uniforms.quads + quad]); }
      }
      let mean = subgroupAdd(dot(sum, vec4f(1.0))) / count;

      var squares = vec4f();
      for (var pixel = lane; pixel < uniforms.pixels; pixel += LANES) {
        for (var quad = 0u; quad < uniforms.width; quad++) {
          let distance = vec4f(x[sample + pixel * uniforms.quads + quad]) - mean;
          squares += distance * distance;
        }
      }
      let inverse_deviation = inverseSqrt(subgroupAdd(dot(squares, vec4f(1.0))) / count + uniforms.eps);

      for (var quad = 0u; quad < uniforms.width; quad++) {
        let factor = inverse_deviation * gain[first + quad];
        let summand = shift[first + quad] - mean * factor;
        for (var pixel = lane; pixel < uniforms.pixels; pixel += LANES) {
          let j = sample + pixel * uniforms.quads + quad;
          var value = vec4f(x[j]) * factor + summand;
          if (uniforms.silu != 0u) { value = silu4(value); }
          y[j] = Element4(value);
        }
      }
    }`,
});
