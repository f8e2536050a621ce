alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { count: u32, terms: u32, outside_term: u32, outside_term2: u32, y: u32, b0: u32, b1: u32, b2: u32, b3: u32, b4: u32, b5: u32, c0: f32, c1: f32, c2: f32, c3: f32, c4: f32, c5: f32 }
@group(0) @binding(0) var<storage, read_write> slots: array<Element>;
@group(0) @binding(1) var<storage, read> outside: array<Element>;
@group(0) @binding(2) var<storage, read> outside2: array<Element>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

// Element i of term k, which begins at 'begin' if it is a slot.
fn value(k: u32, begin: u32, i: u32) -> f32 {
  if (k == uniforms.outside_term) { return f32(outside[i]); }
  if (k == uniforms.outside_term2) { return f32(outside2[i]); }
  return f32(slots[begin + i]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = flat_index(id, groups);
  if (i >= uniforms.count) { return; }
  let coefficients = array<f32, 6>(uniforms.c0, uniforms.c1, uniforms.c2, uniforms.c3, uniforms.c4, uniforms.c5);
  let begins = array<u32, 6>(uniforms.b0, uniforms.b1, uniforms.b2, uniforms.b3, uniforms.b4, uniforms.b5);
  var sum = 0.0;
  // A loop, as a software driver compiles every load in the text for itself.
  for (var k = 0u; k < uniforms.terms; k++) { sum += coefficients[k] * value(k, begins[k], i); }
  slots[uniforms.y + i] = Element(sum);
}
