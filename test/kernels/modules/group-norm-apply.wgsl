alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const SILU = false;
const BESIDE = false;
const WORKGROUP_SIZE = 64u;
const PIXELS = 4u;
struct Uniforms { samples: u32, first_sample: u32, pixels: u32, quads: u32, own: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> beside: array<Element4>;
@group(0) @binding(2) var<storage, read> affine: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  let runs = (uniforms.pixels + PIXELS - 1u) / PIXELS;            // of PIXELS pixels, in a sample
  let quad = i % uniforms.quads;
  let run = (i / uniforms.quads) % runs;
  let sample = i / uniforms.quads / runs;
  if (sample >= uniforms.samples) { return; }
  let at = (uniforms.first_sample + sample) * 2u * uniforms.quads + quad;
  let factor = affine[at];
  let summand = affine[at + uniforms.quads];
  let row = sample * uniforms.pixels;
  let end = min((run + 1u) * PIXELS, uniforms.pixels);
  for (var p = run * PIXELS; p < end; p++) {
    let value = input4(row + p, quad) * factor + summand;
    let j = (row + p) * uniforms.quads + quad;
    if (SILU) { y[j] = Element4(silu4(value)); } else { y[j] = Element4(value); }
  }
}
