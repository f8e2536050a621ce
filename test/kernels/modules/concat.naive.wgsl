alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { rows: u32, width_a: u32, width_b: u32 }
@group(0) @binding(0) var<storage, read> a: array<Element>;
@group(0) @binding(1) var<storage, read> b: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  let width = uniforms.width_a + uniforms.width_b;
  if (i >= uniforms.rows * width) { return; }
  let row = i / width;
  let c = i % width;
  if (c < uniforms.width_a) {
    y[i] = a[row * uniforms.width_a + c];
  } else {
    y[i] = b[row * uniforms.width_b + c - uniforms.width_a];
  }
}
