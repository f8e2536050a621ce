alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const TERMS = 1u;
struct Uniforms { count: u32, c0: f32, c1: f32, c2: f32, c3: f32, c4: f32, c5: f32 }
@group(0) @binding(0) var<storage, read> x0: array<Element>;
@group(0) @binding(1) var<storage, read> x1: array<Element>;
@group(0) @binding(2) var<storage, read> x2: array<Element>;
@group(0) @binding(3) var<storage, read> x3: array<Element>;
@group(0) @binding(4) var<storage, read> x4: array<Element>;
@group(0) @binding(5) var<storage, read> x5: array<Element>;
@group(0) @binding(6) var<storage, read_write> y: array<Element>;
@group(0) @binding(7) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = flat_index(id, groups);
  if (i >= uniforms.count) { return; }
  var sum = uniforms.c0 * f32(x0[i]);
  if (TERMS > 1u) { sum += uniforms.c1 * f32(x1[i]); }
  if (TERMS > 2u) { sum += uniforms.c2 * f32(x2[i]); }
  if (TERMS > 3u) { sum += uniforms.c3 * f32(x3[i]); }
  if (TERMS > 4u) { sum += uniforms.c4 * f32(x4[i]); }
  if (TERMS > 5u) { sum += uniforms.c5 * f32(x5[i]); }
  y[i] = Element(sum);
}
