enable subgroups;
diagnostic(off, subgroup_uniformity);
alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const LANES = 8u;
struct Uniforms { pixels: u32, quads: u32, width: u32, eps: f32, silu: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-x, 80.0)));
}
fn silu4(x: vec4f) -> vec4f {
  return x / (1.0 + exp(min(-x, vec4f(80.0))));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first = group.x * uniforms.width;
  let sample = group.y * uniforms.pixels * uniforms.quads + first;
  let count = f32(4u * uniforms.pixels * uniforms.width);

  var sum = vec4f();
  for (var pixel = lane; pixel < uniforms.pixels; pixel += LANES) {
    for (var quad = 0u; quad < uniforms.width; quad++) { sum += vec4f(x[sample + pixel * uniforms.quads + quad]); }
  }
  let mean = subgroupAdd(dot(sum, vec4f(1.0))) / count;

  var squares = vec4f();
  for (var pixel = lane; pixel < uniforms.pixels; pixel += LANES) {
    for (var quad = 0u; quad < uniforms.width; quad++) {
      let distance = vec4f(x[sample + pixel * uniforms.quads + quad]) - mean;
      squares += distance * distance;
    }
  }
  let inverse_deviation = inverseSqrt(subgroupAdd(dot(squares, vec4f(1.0))) / count + uniforms.eps);

  for (var quad = 0u; quad < uniforms.width; quad++) {
    let factor = inverse_deviation * gain[first + quad];
    let summand = shift[first + quad] - mean * factor;
    for (var pixel = lane; pixel < uniforms.pixels; pixel += LANES) {
      let j = sample + pixel * uniforms.quads + quad;
      var value = vec4f(x[j]) * factor + summand;
      if (uniforms.silu != 0u) { value = silu4(value); }
      y[j] = Element4(value);
    }
  }
}
