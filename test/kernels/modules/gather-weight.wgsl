const WORKGROUP_SIZE = 64u;
struct Uniforms { outputs: u32, taps: u32, row_inputs: u32, width: u32, column: u32, inner: u32 }
@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

fn weight_at(output: u32, j: u32) -> u32 {
  let row = (j % uniforms.taps) * uniforms.row_inputs + j / uniforms.taps;
  return row * uniforms.width + uniforms.column + output;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.outputs * uniforms.inner) { return; }
  y[i] = weight[weight_at(i / uniforms.inner, i % uniforms.inner)];
}
