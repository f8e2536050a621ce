const WORKGROUP_SIZE = 64u;
struct Uniforms { outputs: u32, inner: u32, block: u32 }
@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> blocks: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.outputs * uniforms.inner) { return; }
  let output = i / uniforms.inner;
  let j = i % uniforms.inner;
  let first = output - output % uniforms.block;
  var sum = 0.0;
  for (var n = 0u; n < uniforms.block; n++) {
    sum += blocks[(first + n) * uniforms.block + output - first] * weight[(first + n) * uniforms.inner + j];
  }
  y[i] = sum;
}
