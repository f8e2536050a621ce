alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
alias Added = f32;
alias Added2 = vec2<f32>;
alias Added4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const ACTIVATION = 0u;
struct Uniforms { rows: u32, quads: u32, slices: u32, slab_rows: u32, slab_quads: u32, sample_rows: u32, terms: u32, added_width: u32, added_column: u32 }
@group(0) @binding(0) var<storage, read> slabs: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<Element4>;
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> channel_add: array<Added4>;
@group(0) @binding(4) var<storage, read> residual: array<Element4>;
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

fn erfc_positive(x: f32) -> f32 {
  let a = min(x, 4.2);
  let s = a * a;
  let near = 1.0 - (((((((7.889268e-5 * s - 8.0208894e-4) * s + 5.1895413e-3) * s - 2.6854448e-2) * s + 0.112836) * s
    - 0.37612626) * s + 0.12837917) * a + a);
  let far = exp(-((((((-1.8557331e-4 * a + 2.9396005e-3) * a - 2.1805292e-2) * a + 0.10303731) * a
    + 0.63822573) * a + 1.12704) * a + 3.5372836e-4));
  return select(select(far, near, a < 1.0), 0.0, a > 4.1);
}
fn erfc4_positive(x: vec4f) -> vec4f {
  let a = min(x, vec4f(4.2));
  let s = a * a;
  let near = 1.0 - (((((((7.889268e-5 * s - 8.0208894e-4) * s + 5.1895413e-3) * s - 2.6854448e-2) * s + 0.112836) * s
    - 0.37612626) * s + 0.12837917) * a + a);
  let far = exp(-((((((-1.8557331e-4 * a + 2.9396005e-3) * a - 2.1805292e-2) * a + 0.10303731) * a
    + 0.63822573) * a + 1.12704) * a + 3.5372836e-4));
  return select(select(far, near, a < vec4f(1.0)), vec4f(), a > vec4f(4.1));
}

fn gelu(x: f32) -> f32 {
  let tail = erfc_positive(abs(x) * 0.70710678);
  return 0.5 * x * select(2.0 - tail, tail, x < 0.0);
}
fn gelu4(x: vec4f) -> vec4f {
  let tail = erfc4_positive(abs(x) * 0.70710678);
  return 0.5 * x * select(2.0 - tail, tail, x < vec4f());
}

fn quick_gelu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-1.702 * x, 80.0)));
}
fn quick_gelu4(x: vec4f) -> vec4f {
  return x / (1.0 + exp(min(-1.702 * x, vec4f(80.0))));
}

fn leaky_relu(x: f32) -> f32 {
  return max(x, 0.2 * x);
}
fn leaky_relu4(x: vec4f) -> vec4f {
  return max(x, 0.2 * x);
}

fn activate(x: f32) -> f32 {
  if (ACTIVATION == 1u) { return silu(x); }
  if (ACTIVATION == 2u) { return gelu(x); }
  if (ACTIVATION == 3u) { return quick_gelu(x); }
  if (ACTIVATION == 5u) { return leaky_relu(x); }
  return x;
}
fn activate4(x: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return silu4(x); }
  if (ACTIVATION == 2u) { return gelu4(x); }
  if (ACTIVATION == 3u) { return quick_gelu4(x); }
  if (ACTIVATION == 5u) { return leaky_relu4(x); }
  return x;
}

fn bias_of(quad: u32) -> vec4f {
  if ((uniforms.terms & 1u) == 0u) { return vec4f(); }
  return bias[quad];
}

fn epilogue(sum: vec4f, quad_bias: vec4f, row: u32, quad: u32) -> vec4f {
  var value = sum + quad_bias;
  if ((uniforms.terms & 2u) != 0u) {
    value += vec4f(channel_add[sample_of(row) * uniforms.added_width + uniforms.added_column + quad]);
  }
  value = activate4(value);
  if ((uniforms.terms & 4u) != 0u) { value += vec4f(residual[row * uniforms.quads + quad]); }
  return value;
}

fn sample_of(row: u32) -> u32 { return row / uniforms.sample_rows; }

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.rows * uniforms.quads) { return; }
  let row = i / uniforms.quads;
  let quad = i % uniforms.quads;
  var sum = vec4f();
  for (var slice = 0u; slice < uniforms.slices; slice++) {
    sum += slabs[(slice * uniforms.slab_rows + row) * uniforms.slab_quads + quad];
  }
  y[i] = Element4(epilogue(sum, bias_of(quad), row, quad));
}
