alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
alias Offset = f32;
alias Offset2 = vec2<f32>;
alias Offset4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { first_row: u32, rows: u32, rows_per_sample: u32, samples: u32, channels: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> offsets: array<Offset4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element4>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.rows * uniforms.channels) { return; }
  let c = i % uniforms.channels;
  let n = min((uniforms.first_row + i / uniforms.channels) / uniforms.rows_per_sample, uniforms.samples - 1u);
  y[i] = Element4(vec4f(x[i]) + vec4f(offsets[n * uniforms.channels + c]));
}
