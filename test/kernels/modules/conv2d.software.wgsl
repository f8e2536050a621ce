enable subgroups;
diagnostic(off, subgroup_uniformity);
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
const LANES = 8u;
const BLOCKS = 4u;
const QUADS = 2u;
struct Uniforms { rows: u32, out_width: u32, sample_pixels: u32, first_sample: u32, first_row: u32, first_input_row: u32, input_rows: u32, width: u32, map_height: u32, map_width: u32, kernel_height: u32, kernel_width: u32, stride: u32, top: u32, left: u32, upsample: u32, terms: u32, added_width: u32, added_column: u32, channel_quads: u32, quads: u32, weight_quads: u32, four: u32, parts: u32, down: u32, tiles: u32, workers: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> weight: array<Weight4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element4>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> channel_add: array<Added4>;
@group(0) @binding(5) var<storage, read> residual: array<Element4>;
@group(0) @binding(6) var<storage, read_write> tickets: array<atomic<u32>>;
@group(0) @binding(7) var<uniform> uniforms: Uniforms;

fn next_tile(lane: u32) -> u32 {
  var tile = 0u;
  if (lane == 0u) { tile = atomicAdd(&tickets[0], 1u); }
  return subgroupBroadcast(tile, 0u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(subgroup_invocation_id) lane: u32) {
  var tile = next_tile(lane);
  loop {
    if (tile < uniforms.tiles) { compute_tile(tile, lane); }
    tile = next_tile(lane);
    continuing { break if tile >= uniforms.tiles; }
  }
  if (lane == 0u) {
    if (atomicAdd(&tickets[1], 1u) == uniforms.workers - 1u) {      // the last one leaves them as they were
      atomicStore(&tickets[0], 0u);
      atomicStore(&tickets[1], 0u);
    }
  }
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

fn wrapped(i: i32, size: u32) -> i32 {
  if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
  return i;
}
fn wrapped4(i: vec4i, size: u32) -> vec4i {
  if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
  return i;
}

const OUTSIDE = 0xffffffffu;

struct Pixels { sample: vec4u, top: vec4i, left: vec4i }

fn sample_of(row: u32) -> u32 { return uniforms.first_sample + row / uniforms.sample_pixels; }

// Rows past the end stand for the last one: they are computed, but not stored.
fn find_pixels(rows: vec4u) -> Pixels {
  let row = min(rows, vec4u(uniforms.rows - 1u));
  let sample = row / uniforms.sample_pixels;
  let pixel = row - sample * uniforms.sample_pixels;
  let down = pixel / uniforms.out_width;
  let right = pixel - down * uniforms.out_width;
  return Pixels(
    sample,
    vec4i((down + uniforms.first_row) * uniforms.stride) - i32(uniforms.top),
    vec4i(right * uniforms.stride) - i32(uniforms.left),
  );
}

fn input_pixels(pixels: Pixels, dy: u32, dx: u32) -> vec4u {
  // A row or column before the first becomes a huge number, so one comparison finds both borders.
  let down = vec4u(wrapped4(pixels.top + i32(dy), uniforms.map_height));
  let right = vec4u(wrapped4(pixels.left + i32(dx), uniforms.map_width));
  let inside = (down < vec4u(uniforms.map_height)) & (right < vec4u(uniforms.map_width));
  let input_row = pixels.sample * uniforms.input_rows + (down >> vec4u(uniforms.upsample)) - uniforms.first_input_row;
  return select(vec4u(OUTSIDE), input_row * uniforms.width + (right >> vec4u(uniforms.upsample)), inside);
}

alias Sums = array<vec4f, 8>;

fn shift(sums: ptr<function, Sums>, next: vec4f) {
  (*sums)[0] = (*sums)[1];
  (*sums)[1] = (*sums)[2];
  (*sums)[2] = (*sums)[3];
  (*sums)[3] = (*sums)[4];
  (*sums)[4] = (*sums)[5];
  (*sums)[5] = (*sums)[6];
  (*sums)[6] = (*sums)[7];
  (*sums)[7] = next;
}

struct Columns { k0: vec4f, k1: vec4f, k2: vec4f, k3: vec4f }

fn add_products(sum: vec4f, a: vec4f, b: Columns) -> vec4f {
  return fma(vec4f(a.w), b.k3, fma(vec4f(a.z), b.k2, fma(vec4f(a.y), b.k1, fma(vec4f(a.x), b.k0, sum))));
}

fn rank4_update(left: ptr<function, Sums>, right: ptr<function, Sums>, a: vec4f, b: Columns, c: Columns) {
  let row0 = subgroupShuffle(a, 0u);
  (*left)[0] = add_products((*left)[0], row0, b);
  if (QUADS == 2u) { (*right)[0] = add_products((*right)[0], row0, c); }
  let row1 = subgroupShuffle(a, 1u);
  (*left)[1] = add_products((*left)[1], row1, b);
  if (QUADS == 2u) { (*right)[1] = add_products((*right)[1], row1, c); }
  let row2 = subgroupShuffle(a, 2u);
  (*left)[2] = add_products((*left)[2], row2, b);
  if (QUADS == 2u) { (*right)[2] = add_products((*right)[2], row2, c); }
  let row3 = subgroupShuffle(a, 3u);
  (*left)[3] = add_products((*left)[3], row3, b);
  if (QUADS == 2u) { (*right)[3] = add_products((*right)[3], row3, c); }
  if (LANES == 4u) { return; }
  let row4 = subgroupShuffle(a, 4u);
  (*left)[4] = add_products((*left)[4], row4, b);
  if (QUADS == 2u) { (*right)[4] = add_products((*right)[4], row4, c); }
  let row5 = subgroupShuffle(a, 5u);
  (*left)[5] = add_products((*left)[5], row5, b);
  if (QUADS == 2u) { (*right)[5] = add_products((*right)[5], row5, c); }
  let row6 = subgroupShuffle(a, 6u);
  (*left)[6] = add_products((*left)[6], row6, b);
  if (QUADS == 2u) { (*right)[6] = add_products((*right)[6], row6, c); }
  let row7 = subgroupShuffle(a, 7u);
  (*left)[7] = add_products((*left)[7], row7, b);
  if (QUADS == 2u) { (*right)[7] = add_products((*right)[7], row7, c); }
}

// As shift, for the LANES sums that are in use.
fn shift_lanes(sums: ptr<function, Sums>, next: vec4f) {
  shift(sums, next);
  if (LANES == 4u) { (*sums)[3] = next; }
}

// First of a lane's columns of the weights, in fours; of two lanes that work together the first has eight values, the other their gates.
fn first_quad(own: u32, gates: bool) -> u32 {
  return select(own * QUADS, own / 2u * 2u + (own % 2u) * uniforms.quads, gates);
}

// Sums of two rows, values in even lanes and their gates in odd ones -> value * gelu(gate), the first row's in even lanes.
fn gated_between_two(first: vec4f, second: vec4f, lane: u32) -> vec4f {
  let odd = lane % 2u == 1u;
  let other = subgroupShuffle(select(second, first, odd), lane ^ 1u);
  return select(first, other, odd) * gelu4(select(other, second, odd));
}

fn compute_tile(tile: u32, lane: u32) {
  let place = vec2u(tile / uniforms.down, tile % uniforms.down);
  let first_row = place.y * BLOCKS * LANES;
  let own = place.x * LANES + lane;
  let gates = (uniforms.terms & 8u) != 0u;
  let columns = find_columns(first_quad(own, gates));
  let pixels = find_pixels(vec4u(first_row + lane) + vec4u(0u, 1u, 2u, 3u) * LANES);

  var left0: Sums;
  var left1: Sums;
  var left2: Sums;
  var left3: Sums;
  var right0: Sums;
  var right1: Sums;
  var right2: Sums;
  var right3: Sums;
  var k = 0u;                                                       // row of the weights [KH * KW * C, O]
  var dy = 0u;
  loop {
    var dx = 0u;
    loop {
      let taps = input_pixels(pixels, dy, dx);
      let inside = taps != vec4u(OUTSIDE);
      var at = select(vec4u(), taps, inside) * uniforms.channel_quads;
      let end = k + 4u * uniforms.channel_quads;
      loop {
        var rows: array<WeightRow, 4>;
        var a: array<vec4f, 4>;
        if (BLOCKS == 1u) {
          rows[0] = load_row(k, columns);
          rows[1] = load_row(k + 1u, columns);
          rows[2] = load_row(k + 2u, columns);
          rows[3] = load_row(k + 3u, columns);
          a[0] = vec4f(x[at.x]);
        } else {
          var i = 0u;
          loop {                                                    // registers in turn: after four rounds all are where they belong
            rows[0] = rows[1];
            rows[1] = rows[2];
            rows[2] = rows[3];
            rows[3] = load_row(k + i, columns);
            a[0] = a[1];
            a[1] = a[2];
            a[2] = a[3];
            a[3] = vec4f(x[at.x]);
            at = at.yzwx;
            continuing {
              i++;
              break if i >= uniforms.four;
            }
          }
        }
        k += 4u;
        let left = Columns(left_of(rows[0]), left_of(rows[1]), left_of(rows[2]), left_of(rows[3]));
        let right = Columns(right_of(rows[0]), right_of(rows[1]), right_of(rows[2]), right_of(rows[3]));
        rank4_update(&left0, &right0, select(vec4f(), a[0], inside.x), left, right);
        if (BLOCKS > 1u) {
          rank4_update(&left1, &right1, select(vec4f(), a[1], inside.y), left, right);
          rank4_update(&left2, &right2, select(vec4f(), a[2], inside.z), left, right);
          rank4_update(&left3, &right3, select(vec4f(), a[3], inside.w), left, right);
        }
        at += 1u;
        continuing { break if k >= end; }
      }
      continuing {
        dx++;
        break if dx >= uniforms.kernel_width;
      }
    }
    continuing {
      dy++;
      break if dy >= uniforms.kernel_height;
    }
  }

  let left_bias = bias_of(columns.x);
  let right_bias = bias_of(columns.y);
  var part = 0u;                                                    // of each block of rows the left, then the right columns
  loop {
    let side = part % QUADS;
    let side_bias = select(left_bias, right_bias, side == 1u);
    let quad = select(own * QUADS, own / 2u * 2u, gates) + side;
    var i = 0u;
    loop {
      var row = first_row + (part / QUADS) * LANES + i;
      var value = left0[0] + side_bias;
      let stores = !gates || i % 2u == 0u;
      if (gates && stores) {
        value = gated_between_two(value, left0[1] + side_bias, lane);
        row += lane % 2u;
      }
      if (stores && row < uniforms.rows && quad < uniforms.quads) {
        y[row * uniforms.quads + quad] = Element4(epilogue(value, vec4f(), row, quad));
      }
      shift_lanes(&left0, vec4f());
      continuing {
        i++;
        break if i >= uniforms.four * (LANES / 4u);
      }
    }
    if (QUADS == 1u) {
      left0 = left1;
      left1 = left2;
      left2 = left3;
    } else {
      left0 = right0;
      right0 = left1;
      left1 = right1;
      right1 = left2;
      left2 = right2;
      right2 = left3;
      left3 = right3;
    }
    continuing {
      part++;
      break if part >= uniforms.parts;
    }
  }
}

struct WeightRow { left: vec4f, right: vec4f }

fn find_columns(first: u32) -> vec2u { return min(vec2u(first, first + 1u), vec2u(uniforms.weight_quads - 1u)); }

fn load_row(k: u32, columns: vec2u) -> WeightRow {
  let row = k * uniforms.weight_quads;
  if (QUADS == 1u) { return WeightRow(vec4f(weight[row + columns.x]), vec4f()); }
  return WeightRow(vec4f(weight[row + columns.x]), vec4f(weight[row + columns.y]));
}

fn left_of(row: WeightRow) -> vec4f { return row.left; }

fn right_of(row: WeightRow) -> vec4f { return row.right; }
