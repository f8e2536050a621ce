alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { rows: u32, width: u32, first: u32, count: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<Element>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.rows * uniforms.count) { return; }
  y[i] = x[i / uniforms.count * uniforms.width + uniforms.first + i % uniforms.count];
}
