alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const SILU = false;
const WORKGROUP_SIZE = 64u;
struct Uniforms { samples: u32, pixels: u32, channels: u32, own: u32, groups: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> beside: array<Element>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read> shift: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;
@group(0) @binding(5) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-x, 80.0)));
}
fn silu4(x: vec4f) -> vec4f {
  return x / (1.0 + exp(min(-x, vec4f(80.0))));
}

fn input(pixel: u32, channel: u32) -> f32 {
  if (channel < uniforms.own) { return f32(x[pixel * uniforms.own + channel]); }
  return f32(beside[pixel * (uniforms.channels - uniforms.own) + channel - uniforms.own]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.samples * uniforms.groups) { return; }
  let width = uniforms.channels / uniforms.groups;               // channels of a group
  let first = (i % uniforms.groups) * width;
  let begin = (i / uniforms.groups) * uniforms.pixels;           // pixels of the sample
  let end = begin + uniforms.pixels;
  let count = f32(uniforms.pixels * width);

  var sum = 0.0;
  for (var p = begin; p < end; p++) {
    for (var c = first; c < first + width; c++) { sum += input(p, c); }
  }
  let mean = sum / count;

  var squares = 0.0;
  for (var p = begin; p < end; p++) {
    for (var c = first; c < first + width; c++) {
      let distance = input(p, c) - mean;
      squares += distance * distance;
    }
  }
  let inverse_deviation = inverseSqrt(squares / count + uniforms.eps);

  for (var p = begin; p < end; p++) {
    for (var c = first; c < first + width; c++) {
      let value = (input(p, c) - mean) * inverse_deviation * gain[c] + shift[c];
      y[p * uniforms.channels + c] = Element(select(value, silu(value), SILU));
    }
  }
}
