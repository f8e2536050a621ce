alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
alias Weight = f32;
alias Weight2 = vec2<f32>;
alias Weight4 = vec4<f32>;
alias Added = f32;
alias Added2 = vec2<f32>;
alias Added4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const ACTIVATION = 0u;
struct Uniforms { rows: u32, quads: u32, inner_quads: u32, terms: u32, added_width: u32, added_column: u32, eight: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> weight: array<Weight4>;
@group(0) @binding(2) var<storage, read_write> y: array<Element4>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> channel_add: array<Added4>;
@group(0) @binding(5) var<storage, read> residual: array<Element4>;
@group(0) @binding(6) var<uniform> uniforms: Uniforms;

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

// Where four rows begin.
struct Rows { begin: vec4u }

fn find_rows(first: u32) -> Rows {
  return Rows(min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(uniforms.rows - 1u)) * uniforms.inner_quads);
}

fn load_rows(rows: Rows, quad: u32) -> mat4x4f {
  let at = rows.begin + quad;
  return mat4x4f(vec4f(x[at.x]), vec4f(x[at.y]), vec4f(x[at.z]), vec4f(x[at.w]));
}

fn sample_of(row: u32) -> u32 { return 0u; }

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

fn rank1_update(sums: ptr<function, Sums>, upper: vec4f, lower: vec4f, columns: vec4f) {
  (*sums)[0] = fma(vec4f(upper.x), columns, (*sums)[0]);
  (*sums)[1] = fma(vec4f(upper.y), columns, (*sums)[1]);
  (*sums)[2] = fma(vec4f(upper.z), columns, (*sums)[2]);
  (*sums)[3] = fma(vec4f(upper.w), columns, (*sums)[3]);
  (*sums)[4] = fma(vec4f(lower.x), columns, (*sums)[4]);
  (*sums)[5] = fma(vec4f(lower.y), columns, (*sums)[5]);
  (*sums)[6] = fma(vec4f(lower.z), columns, (*sums)[6]);
  (*sums)[7] = fma(vec4f(lower.w), columns, (*sums)[7]);
}

const ROW_QUADS = WORKGROUP_SIZE / 4u;
const ROW_STRIDE = ROW_QUADS + 1u;       // one more, or the four invocations that share a row would write to the same bank
const COLUMN_QUADS = 16u;
const GEGLU = ACTIVATION == 4u;
var<workgroup> row_tile: array<vec4f, 16u * ROW_STRIDE>;
var<workgroup> column_tile: array<vec4f, 16u * COLUMN_QUADS>;

fn tiled_product(group: vec3u, groups: vec3u, local: u32) {
  let part = part_of(group, groups);
  let first_row = part.tile * WORKGROUP_SIZE;
  let first_quad = group.x * COLUMN_QUADS;
  let fetch_quad = local % 4u;           // four neighbouring invocations fetch 16 neighbouring numbers
  let fetch_row = local / 4u;
  let fetched = find_rows(first_row + fetch_row * 4u);
  let row = local / 8u;                  // of ROW_QUADS / 2
  let column = local % 8u;               // of COLUMN_QUADS / 2

  var left_sums: Sums;                   // of 8 rows: 4 in the upper half of the tile, 4 in the lower
  var right_sums: Sums;
  for (var quad = part.begin; quad < part.end; quad += 4u) {
    var block = mat4x4f();
    if (quad + fetch_quad < uniforms.inner_quads) { block = transpose(load_rows(fetched, quad + fetch_quad)); }
    let at = fetch_quad * 4u * ROW_STRIDE + fetch_row;
    row_tile[at] = block[0];
    row_tile[at + ROW_STRIDE] = block[1];
    row_tile[at + 2u * ROW_STRIDE] = block[2];
    row_tile[at + 3u * ROW_STRIDE] = block[3];
    for (var i = local; i < 16u * COLUMN_QUADS; i += WORKGROUP_SIZE) {
      let k = quad * 4u + i / COLUMN_QUADS;
      let q = first_quad + i % COLUMN_QUADS;
      var values = vec4f();
      if (GEGLU) {
        // Values in the left half of the tile, their gates in the right: one invocation gets both.
        let own = group.x * 8u + i % 8u;
        let half = i / 8u % 2u;
        if (k < uniforms.inner_quads * 4u && own < uniforms.quads) {
          values = vec4f(weight[(k * 2u + half) * uniforms.quads + own]);
        }
      } else if (k < uniforms.inner_quads * 4u && q < uniforms.quads) {
        values = vec4f(weight[k * uniforms.quads + q]);
      }
      column_tile[i] = values;
    }
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) {
      let upper = row_tile[k * ROW_STRIDE + row];
      let lower = row_tile[k * ROW_STRIDE + row + ROW_QUADS / 2u];
      let left = column_tile[k * COLUMN_QUADS + column];
      let right = column_tile[k * COLUMN_QUADS + column + COLUMN_QUADS / 2u];
      rank1_update(&left_sums, upper, lower, left);
      rank1_update(&right_sums, upper, lower, right);
    }
    workgroupBarrier();
  }
  // A count that the compiler does not know keeps the loop a loop: eight copies of the epilogue took lavapipe 8 s to compile.
  for (var i = 0u; i < uniforms.eight; i++) {
    let r = first_row + row * 4u + i % 4u + (i / 4u) * (WORKGROUP_SIZE / 2u);
    store_quads(left_sums[0], right_sums[0], r, first_quad + column, group);
    shift(&left_sums, vec4f());
    shift(&right_sums, vec4f());
  }
}

fn gated(value: vec4f, gate: vec4f, quad: u32) -> vec4f {
  if ((uniforms.terms & 1u) == 0u) { return value * gelu4(gate); }
  return (value + bias[quad]) * gelu4(gate + bias[uniforms.quads + quad]);
}

struct Part { tile: u32, begin: u32, end: u32 }

fn part_of(group: vec3u, groups: vec3u) -> Part { return Part(group.y + group.z * groups.y, 0u, uniforms.inner_quads); }

fn store_quads(left: vec4f, right: vec4f, row: u32, quad: u32, group: vec3u) {
  if (GEGLU) {
    let own = quad - group.x * 8u;
    if (row < uniforms.rows && own < uniforms.quads) {
      y[row * uniforms.quads + own] = Element4(gated(left, right, own));
    }
  } else {
    store_quad(left, row, quad);
    store_quad(right, row, quad + COLUMN_QUADS / 2u);
  }
}

fn store_quad(sum: vec4f, row: u32, quad: u32) {
  if (row < uniforms.rows && quad < uniforms.quads) {
    y[row * uniforms.quads + quad] = Element4(epilogue(sum, bias_of(quad), row, quad));
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  tiled_product(group, groups, local);
}
