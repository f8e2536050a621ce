alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
alias Weight = f32;
alias Weight2 = vec2<f32>;
alias Weight4 = vec4<f32>;
alias Added = f32;
alias Added2 = vec2<f32>;
alias Added4 = vec4<f32>;
const WRAP = false;
const WORKGROUP_SIZE = 64u;
const ACTIVATION = 0u;
struct Uniforms { rows: u32, out_width: u32, sample_pixels: u32, first_sample: u32, first_row: u32, first_input_row: u32, input_rows: u32, width: u32, map_height: u32, map_width: u32, kernel_height: u32, kernel_width: u32, stride: u32, top: u32, left: u32, upsample: u32, terms: u32, added_width: u32, added_column: u32, channels: u32, columns: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> weight: array<Weight>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> channel_add: array<Added>;
@group(0) @binding(5) var<storage, read> residual: array<Element>;
@group(0) @binding(6) var<uniform> uniforms: Uniforms;

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

fn epilogue(sum: f32, row: u32, column: u32, sample: u32) -> f32 {
  var value = sum;
  if ((uniforms.terms & 1u) != 0u) { value += bias[column]; }
  if ((uniforms.terms & 2u) != 0u) { value += f32(channel_add[sample * uniforms.added_width + uniforms.added_column + column]); }
  value = activate(value);
  if ((uniforms.terms & 4u) != 0u) { value += f32(residual[row * uniforms.columns + column]); }
  return value;
}

fn wrapped(i: i32, size: u32) -> i32 {
  if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
  return i;
}
fn wrapped4(i: vec4i, size: u32) -> vec4i {
  if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
  return i;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.rows * uniforms.columns) { return; }
  let column = i % uniforms.columns;                                // output channel
  let row = i / uniforms.columns;                                   // output pixel
  let sample = row / uniforms.sample_pixels;
  let down = (row % uniforms.sample_pixels) / uniforms.out_width + uniforms.first_row;
  let right = (row % uniforms.sample_pixels) % uniforms.out_width;

  var sum = 0.0;
  for (var dy = 0u; dy < uniforms.kernel_height; dy++) {
    for (var dx = 0u; dx < uniforms.kernel_width; dx++) {
      let input_row = wrapped(i32(down * uniforms.stride + dy) - i32(uniforms.top), uniforms.map_height);
      let input_column = wrapped(i32(right * uniforms.stride + dx) - i32(uniforms.left), uniforms.map_width);
      if (input_row < 0 || input_row >= i32(uniforms.map_height)) { continue; }
      if (input_column < 0 || input_column >= i32(uniforms.map_width)) { continue; }
      let bound_row = (u32(input_row) >> uniforms.upsample) - uniforms.first_input_row;
      let pixel = (sample * uniforms.input_rows + bound_row) * uniforms.width + (u32(input_column) >> uniforms.upsample);
      let tap = dy * uniforms.kernel_width + dx;
      for (var c = 0u; c < uniforms.channels; c++) {
        sum += f32(x[pixel * uniforms.channels + c]) * f32(weight[(tap * uniforms.channels + c) * uniforms.columns + column]);
      }
    }
  }
  y[i] = Element(epilogue(sum, row, column, uniforms.first_sample + sample));
}
