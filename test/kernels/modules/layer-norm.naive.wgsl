alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { rows: u32, width: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let row = flat_index(id, grid);
  if (row >= uniforms.rows) { return; }
  let first = row * uniforms.width;

  var sum = 0.0;
  for (var c = 0u; c < uniforms.width; c++) { sum += f32(x[first + c]); }
  let mean = sum / f32(uniforms.width);

  var squares = 0.0;
  for (var c = 0u; c < uniforms.width; c++) {
    let distance = f32(x[first + c]) - mean;
    squares += distance * distance;
  }
  let inverse_deviation = inverseSqrt(squares / f32(uniforms.width) + uniforms.eps);

  for (var c = 0u; c < uniforms.width; c++) {
    y[first + c] = Element((f32(x[first + c]) - mean) * inverse_deviation * gain[c] + shift[c]);
  }
}
