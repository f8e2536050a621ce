const WORKGROUP_SIZE = 64u;
struct Uniforms { outputs: u32, inner: u32, block: u32, stride: u32 }
@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> blocks: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

// Outputs are taken in pairs that are a stride apart, and the pairs in order: where a place in that order is, and the way back.
fn output_at(place: u32) -> u32 {
  let pair = place / 2u;
  return (pair / uniforms.stride * 2u + place % 2u) * uniforms.stride + pair % uniforms.stride;
}
fn place_of(output: u32) -> u32 {
  let run = output / uniforms.stride;
  return (run / 2u * uniforms.stride + output % uniforms.stride) * 2u + run % 2u;
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.outputs * uniforms.inner) { return; }
  let output = i / uniforms.inner;
  let j = i % uniforms.inner;
  let place = place_of(output);
  let first = place - place % uniforms.block;
  var sum = 0.0;
  for (var n = 0u; n < uniforms.block; n++) {
    sum += blocks[(first + n) * uniforms.block + place - first] * weight[output_at(first + n) * uniforms.inner + j];
  }
  y[i] = sum;
}
