alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
struct Uniforms { count: u32, images: u32, strength: f32, rescale: f32 }
@group(0) @binding(0) var<storage, read> both: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;

var<workgroup> parts: array<vec2f, WORKGROUP_SIZE>;

// Sum of one pair of each invocation, the same in all of them.
fn workgroup_sum(lane: u32, part: vec2f) -> vec2f {
  workgroupBarrier();
  parts[lane] = part;
  for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { parts[lane] += parts[lane + half]; }
  }
  workgroupBarrier();
  return parts[0];
}

// The conditional prediction c and the guided one, g, of one element.
fn predictions(i: u32) -> vec2f {
  let u = f32(both[i]);
  let c = f32(both[i + uniforms.images * uniforms.count]);
  return vec2f(c, u + uniforms.strength * (c - u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * uniforms.count;

  var sum = vec2f();
  for (var i = lane; i < uniforms.count; i += WORKGROUP_SIZE) { sum += predictions(first + i); }
  let mean = workgroup_sum(lane, sum) / f32(uniforms.count);

  var squares = vec2f();
  for (var i = lane; i < uniforms.count; i += WORKGROUP_SIZE) {
    let distance = predictions(first + i) - mean;
    squares += distance * distance;
  }
  let spread = workgroup_sum(lane, squares);
  var factor = 1.0;
  if (spread.y > 0.0) { factor = 1.0 + uniforms.rescale * (sqrt(spread.x / spread.y) - 1.0); }

  for (var i = lane; i < uniforms.count; i += WORKGROUP_SIZE) { y[first + i] = factor * predictions(first + i).y; }
}
