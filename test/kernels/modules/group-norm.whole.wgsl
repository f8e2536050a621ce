alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const SILU = false;
const BESIDE = false;
const WORKGROUP_SIZE = 64u;
struct Uniforms { pixels: u32, quads: u32, own: u32, width: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> beside: array<Element4>;
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;
@group(0) @binding(5) var<uniform> uniforms: Uniforms;

fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-x, 80.0)));
}
fn silu4(x: vec4f) -> vec4f {
  return x / (1.0 + exp(min(-x, vec4f(80.0))));
}

fn input4(pixel: u32, quad: u32) -> vec4f {
  if (BESIDE && quad >= uniforms.own) {
    return vec4f(beside[pixel * (uniforms.quads - uniforms.own) + quad - uniforms.own]);
  }
  return vec4f(x[pixel * uniforms.own + quad]);
}

var<workgroup> parts: array<f32, WORKGROUP_SIZE>;

// Sum of one number of each invocation, the same in all of them.
fn total(value: f32, local: u32) -> f32 {
  parts[local] = value;
  for (var step = WORKGROUP_SIZE / 2u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (local < step) { parts[local] += parts[local + step]; }
  }
  return workgroupUniformLoad(&parts[0]);
}

// A place in the group's list of vectors: pixel and vector in the pixel.
struct Place { pixel: u32, quad: u32 }

// WORKGROUP_SIZE places on; without a division, which no SIMD unit has for integers.
fn next(place: Place, pixels: u32, quads: u32) -> Place {
  let quad = place.quad + quads;
  let carry = u32(quad >= uniforms.width);
  return Place(place.pixel + pixels + carry, quad - carry * uniforms.width);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = group.x * uniforms.width;
  let row = group.y * uniforms.pixels;
  let start = Place(local / uniforms.width, local % uniforms.width);
  let step_pixels = WORKGROUP_SIZE / uniforms.width;
  let step_quads = WORKGROUP_SIZE % uniforms.width;
  let count = f32(4u * uniforms.pixels * uniforms.width);

  var sum = vec4f();
  for (var at = start; at.pixel < uniforms.pixels; at = next(at, step_pixels, step_quads)) {
    sum += input4(row + at.pixel, first + at.quad);
  }
  let mean = total(dot(sum, vec4f(1.0)), local) / count;

  var squares = vec4f();
  for (var at = start; at.pixel < uniforms.pixels; at = next(at, step_pixels, step_quads)) {
    let distance = input4(row + at.pixel, first + at.quad) - mean;
    squares += distance * distance;
  }
  let inverse_deviation = inverseSqrt(total(dot(squares, vec4f(1.0)), local) / count + uniforms.eps);

  for (var at = start; at.pixel < uniforms.pixels; at = next(at, step_pixels, step_quads)) {
    let quad = first + at.quad;
    let value = (input4(row + at.pixel, quad) - mean) * inverse_deviation * gain[quad] + shift[quad];
    let j = (row + at.pixel) * uniforms.quads + quad;
    if (SILU) { y[j] = Element4(silu4(value)); } else { y[j] = Element4(value); }
  }
}
