alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const PARTS = 1u;
struct Uniforms { count: u32, s0: f32, s1: f32, s2: f32, s3: f32, s4: f32, s5: f32, s6: f32, s7: f32 }
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
  let strengths = array<f32, 8>(uniforms.s0, uniforms.s1, uniforms.s2, uniforms.s3,
                                uniforms.s4, uniforms.s5, uniforms.s6, uniforms.s7);
  let unconditional = f32(all[i]);
  var sum = unconditional;
  for (var part = 0u; part < PARTS; part++) {
    sum += strengths[part] * (f32(all[i + (part + 1u) * uniforms.count]) - unconditional);
  }
  y[i] = sum;
}
