alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const FACTOR_BUFFER = false;
const WORKGROUP_SIZE = 64u;
struct Uniforms { begin: u32, count: u32, copies: u32, constant_factor: f32 }
@group(0) @binding(0) var<storage, read> latent: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.count * uniforms.copies) { return; }
  var scale = uniforms.constant_factor;
  if (FACTOR_BUFFER) { scale = factor[0]; }
  y[i] = Element(scale * latent[uniforms.begin + i % uniforms.count]);
}
