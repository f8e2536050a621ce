/** @file Layer-norm for GPUs: one workgroup for each row, in vectors of four; x is read once from memory and then from cache. */
import { defineKernel } from "../../engine/index.ts";

/** `quads`: vectors in a row. Sums across the workgroup are trees in a fixed order; WORKGROUP_SIZE is a power of two. */
export const layerNormWorkgroup = defineKernel({
  name: "layer-norm",
  rung: "workgroup",
  buffers: {
    x: { access: "read", vec: 4 },
    gain: { access: "read", type: "f32", vec: 4 },
    shift: { access: "read", type: "f32", vec: 4 },
    y: { access: "write", vec: 4 },
  },
  uniforms: { rows: "u32", quads: "u32", eps: "f32" },
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

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
            @builtin(local_invocation_index) local: u32) {
      let row = group.x + group.y * grid.x;
      if (row >= uniforms.rows) { return; }                // the same for the whole workgroup
      let first = row * uniforms.quads;
      let width = f32(4u * uniforms.quads);

      var sum = vec4f();
      for (var c = local; c < uniforms.quads; c += WORKGROUP_SIZE) { sum += vec4f(x[first + c]); }
      let mean = total(dot(sum, vec4f(1.0)), local) / width;

      var squares = vec4f();
      for (var c = local; c < uniforms.quads; c += WORKGROUP_SIZE) {
        let distance = vec4f(x[first + c]) - mean;
        squares += distance * distance;
      }
      let inverse_deviation = inverseSqrt(total(dot(squares, vec4f(1.0)), local) / width + uniforms.eps);

      for (var c = local; c < uniforms.quads; c += WORKGROUP_SIZE) {
        y[first + c] = Element4((vec4f(x[first + c]) - mean) * inverse_deviation * gain[c] + shift[c]);
      }
    }`,
});
