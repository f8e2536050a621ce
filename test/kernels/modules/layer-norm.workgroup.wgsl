alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { rows: u32, quads: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

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
}
