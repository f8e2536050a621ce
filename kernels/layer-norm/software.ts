/**
 * @file Layer-norm for software adapters, where a load costs the same wherever it goes and only the number of loads counts. A workgroup
 * is one subgroup. A lane has a row while moments are summed, so that no sum goes across lanes, and columns while rows are stored, so
 * that gain and shift are loaded once for all rows.
 */
import { defineKernel } from "../../engine/index.ts";

/**
 * Grid: rows in blocks of LANES, the size of a subgroup. `quads`: vectors in a row. The moments are of the distances from one of the
 * row's first four numbers, so that a large mean cancels nothing: from one in the middle, as a single number far from all others, such as
 * trained networks have, would leave nothing of the variance. `lanes` is LANES as a uniform, or Mesa would unroll the loop and compile its
 * store eight times.
 */
export const layerNormSoftware = defineKernel({
  name: "layer-norm",
  rung: "software",
  features: ["subgroups"],
  buffers: {
    x: { access: "read", vec: 4 },
    gain: { access: "read", type: "f32", vec: 4 },
    shift: { access: "read", type: "f32", vec: 4 },
    y: { access: "write", vec: 4 },
  },
  uniforms: { rows: "u32", quads: "u32", lanes: "u32", eps: "f32" },
  tunables: { LANES: 8 },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(LANES)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(subgroup_invocation_id) lane: u32,
    ) {
      let first = (group.x + group.y * groups.x) * LANES;
      let own = min(first + lane, uniforms.rows - 1u) * uniforms.quads;
      let width = f32(4u * uniforms.quads);

      var origin = 0.0;
      var sum = vec4f();
      var squares = vec4f();
      for (var c = 0u; c < uniforms.quads; c++) {
        let value = vec4f(x[own + c]);
        origin = select(origin, max(min(value.x, value.y), min(value.z, value.w)), c == 0u);
        let distance = value - origin;
        sum += distance;
        squares += distance * distance;
      }
      let offset = dot(sum, vec4f(1.0)) / width;
      let mean = origin + offset;
      let variance = max(dot(squares, vec4f(1.0)) / width - offset * offset, 0.0);
      let inverse_deviation = inverseSqrt(variance + uniforms.eps);

      let rows = min(uniforms.lanes, max(uniforms.rows, first) - first);
      for (var block = 0u; block < uniforms.quads; block += LANES) {
        let c = min(block + lane, uniforms.quads - 1u);                // lanes past the row's end take part in the shuffles
        let column_gain = gain[c];
        let column_shift = shift[c];
        for (var i = 0u; i < rows; i++) {
          let at = (first + i) * uniforms.quads + c;
          let distance = vec4f(x[at]) - subgroupShuffle(mean, i);
          let value = distance * subgroupShuffle(inverse_deviation, i) * column_gain + column_shift;
          if (c == block + lane) { y[at] = Element4(value); }
        }
      }
    }`,
});
