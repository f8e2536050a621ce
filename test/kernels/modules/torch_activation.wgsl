alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const FUNCTION = 0u;
struct Uniforms { count: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<Element>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
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

fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-x, 80.0)));
}
fn silu4(x: vec4f) -> vec4f {
  return x / (1.0 + exp(min(-x, vec4f(80.0))));
}

fn softplus(x: f32) -> f32 {
  return max(x, 0.0) + log(1.0 + exp(-abs(x)));
}
fn bounded_tanh(x: f32) -> f32 {
  return tanh(clamp(x, -15.0, 15.0));                       // some drivers overflow beyond
}
fn elu(x: f32) -> f32 {
  return select(x, exp(min(x, 0.0)) - 1.0, x < 0.0);
}
fn apply(x: f32) -> f32 {
  switch FUNCTION {
    case 0u: { return max(x, 0.0); }                        // relu
    case 1u: { return clamp(x, 0.0, 6.0); }                 // relu6
    case 2u: { return max(x, 0.01 * x); }                   // leakyrelu
    case 3u: { return max(x, 0.22916667 * x); }             // rrelu
    case 4u: { return elu(x); }                             // elu
    case 5u: { return 1.0507010 * select(x, 1.6732632 * elu(x), x < 0.0); } // selu
    case 6u: { return gelu(x); }                            // gelu
    case 7u: { return silu(x); }                            // silu
    case 8u: { return x * bounded_tanh(softplus(x)); }      // mish
    case 9u: { return x * clamp(x + 3.0, 0.0, 6.0) / 6.0; } // hardswish
    case 10u: { return bounded_tanh(x); }                   // tanh
    case 11u: { return 1.0 / (1.0 + exp(min(-x, 80.0))); }  // sigmoid
    case 12u: { return -softplus(-x); }                     // logsigmoid
    case 13u: { return clamp(x + 3.0, 0.0, 6.0) / 6.0; }    // hardsigmoid
    case 14u: { return clamp(x, -1.0, 1.0); }               // hardtanh
    case 15u: { return softplus(x); }                       // softplus
    case 16u: { return x / (1.0 + abs(x)); }                // softsign
    case 17u: { return sign(x) * max(abs(x) - 0.5, 0.0); }  // softshrink
    case 18u: { return select(0.0, x, abs(x) > 0.5); }      // hardshrink
    default: { return x - bounded_tanh(x); }                // tanhshrink
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.count) { return; }
  y[i] = Element(apply(f32(x[i])));
}
