enable subgroups;
diagnostic(off, subgroup_uniformity);
alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const LANES = 8u;
struct Uniforms { rows: u32, quads: u32, lanes: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

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
}
