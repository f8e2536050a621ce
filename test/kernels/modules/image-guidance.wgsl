alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { count: u32, by_image: f32, by_prompt: f32 }
@group(0) @binding(0) var<storage, read> all: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.count) { return; }
  let neither = f32(all[i]);
  let image = f32(all[i + uniforms.count]);
  let both = f32(all[i + 2u * uniforms.count]);
  y[i] = neither + uniforms.by_image * (image - neither) + uniforms.by_prompt * (both - image);
}
