enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
diagnostic(off, subgroup_uniformity);
const WRAP = false;
const WORKGROUP_SIZE = 64u;
const MATRIX_M = 8u;
const MATRIX_N = 8u;
const MATRIX_K = 8u;
const LANES = 32u;
const SUBGROUPS_M = 2u;
const SUBGROUPS_N = 2u;
const BLOCKS_M = 4u;
const BLOCKS_N = 4u;
const DEPTH = 16u;
const ACTIVATION = 0u;
struct Uniforms { rows: u32, out_width: u32, sample_pixels: u32, first_sample: u32, first_row: u32, first_input_row: u32, input_rows: u32, width: u32, map_height: u32, map_width: u32, kernel_height: u32, kernel_width: u32, stride: u32, top: u32, left: u32, upsample: u32, terms: u32, added_width: u32, added_column: u32, quads: u32, octets: u32, inner: u32, steps: u32, slice: u32, channel_octets: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> channel_add: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> residual: array<vec4<f16>>;
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

fn wrapped(i: i32, size: u32) -> i32 {
  if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
  return i;
}
fn wrapped4(i: vec4i, size: u32) -> vec4i {
  if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
  return i;
}

struct Row { sample: u32, top: i32, left: i32 }

fn sample_of(row: u32) -> u32 { return uniforms.first_sample + row / uniforms.sample_pixels; }

// Rows past the end stand for the last one: they are computed, but not stored.
fn find_row(index: u32) -> Row {
  let row = min(index, uniforms.rows - 1u);
  let sample = row / uniforms.sample_pixels;
  let pixel = row - sample * uniforms.sample_pixels;
  let down = pixel / uniforms.out_width;
  let right = pixel - down * uniforms.out_width;
  return Row(
    sample,
    i32((down + uniforms.first_row) * uniforms.stride) - i32(uniforms.top),
    i32(right * uniforms.stride) - i32(uniforms.left),
  );
}

fn load_octet(row: Row, octet: u32) -> vec4u {
  let tap = octet / uniforms.channel_octets;
  let channel = octet - tap * uniforms.channel_octets;
  let dy = tap / uniforms.kernel_width;
  // A row or column before the first becomes a huge number, so one comparison finds both borders.
  let down = u32(wrapped(row.top + i32(dy), uniforms.map_height));
  let right = u32(wrapped(row.left + i32(tap - dy * uniforms.kernel_width), uniforms.map_width));
  if (down >= uniforms.map_height || right >= uniforms.map_width) { return vec4u(); }
  let input_row = row.sample * uniforms.input_rows + (down >> uniforms.upsample) - uniforms.first_input_row;
  return x[(input_row * uniforms.width + (right >> uniforms.upsample)) * uniforms.channel_octets + channel];
}

alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;              // columns first
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Result = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
alias ResultRow = array<Result, 4>;
struct Sums { row0: ResultRow, row1: ResultRow, row2: ResultRow, row3: ResultRow }

const GEGLU = ACTIVATION == 4u;
const SUBGROUPS = SUBGROUPS_M * SUBGROUPS_N;
const INVOCATIONS = LANES * SUBGROUPS;
const ROWS = SUBGROUPS_M * BLOCKS_M * MATRIX_M;
const COLUMNS = SUBGROUPS_N * BLOCKS_N * MATRIX_N;

const LEFT_OCTETS = DEPTH / 8u;                                          // of a row
const LEFT_STRIDE = DEPTH / 4u + 2u;
const LEFT_SIZE = ROWS * LEFT_STRIDE;
const LEFT_FETCHES = ROWS * LEFT_OCTETS / INVOCATIONS;                   // of an invocation
const RIGHT_OCTETS = COLUMNS / 8u;
const RIGHT_STRIDE = COLUMNS / 4u + 2u;
const RIGHT_SIZE = DEPTH * RIGHT_STRIDE;
const RIGHT_FETCHES = DEPTH * RIGHT_OCTETS / INVOCATIONS;
var<workgroup> left_tile: array<vec4<f16>, 2u * LEFT_SIZE>;
var<workgroup> right_tile: array<vec4<f16>, 2u * RIGHT_SIZE>;

struct Fetched { left: array<vec4u, LEFT_FETCHES>, right: array<vec4u, RIGHT_FETCHES> }

// Octet of the weights' rows that octet i of the tile's comes from.
fn weight_octet(group: vec3u, i: u32) -> u32 {
  if (!GEGLU) { return group.x * RIGHT_OCTETS + i; }
  // Matrices of values and of their gates stand in turn, so that one subgroup has both.
  let matrix = i / (MATRIX_N / 8u);
  let value = group.x * (RIGHT_OCTETS / 2u) + (matrix / 2u) * (MATRIX_N / 8u) + i % (MATRIX_N / 8u);
  return select(uniforms.octets, value + (matrix % 2u) * (uniforms.octets / 2u), value < uniforms.octets / 2u);
}

fn fetch(rows: array<Row, LEFT_FETCHES>, group: vec3u, local: u32, step: u32) -> Fetched {
  var fetched = Fetched();
  let octet = step * LEFT_OCTETS + local % LEFT_OCTETS;
  for (var i = 0u; i < LEFT_FETCHES; i++) {
    if (octet < uniforms.inner / 8u) { fetched.left[i] = load_octet(rows[i], octet); }
  }
  let column = weight_octet(group, local % RIGHT_OCTETS);
  for (var i = 0u; i < RIGHT_FETCHES; i++) {
    let k = step * DEPTH + local / RIGHT_OCTETS + i * (INVOCATIONS / RIGHT_OCTETS);
    if (k < uniforms.inner && column < uniforms.octets) { fetched.right[i] = weight[k * uniforms.octets + column]; }
  }
  return fetched;
}

fn put(fetched: Fetched, local: u32, buffer: u32) {
  for (var i = 0u; i < LEFT_FETCHES; i++) {
    let row = local / LEFT_OCTETS + i * (INVOCATIONS / LEFT_OCTETS);
    let at = buffer * LEFT_SIZE + row * LEFT_STRIDE + 2u * (local % LEFT_OCTETS);
    left_tile[at] = bitcast<vec4<f16>>(fetched.left[i].xy);
    left_tile[at + 1u] = bitcast<vec4<f16>>(fetched.left[i].zw);
  }
  for (var i = 0u; i < RIGHT_FETCHES; i++) {
    let k = local / RIGHT_OCTETS + i * (INVOCATIONS / RIGHT_OCTETS);
    let at = buffer * RIGHT_SIZE + k * RIGHT_STRIDE + 2u * (local % RIGHT_OCTETS);
    right_tile[at] = bitcast<vec4<f16>>(fetched.right[i].xy);
    right_tile[at + 1u] = bitcast<vec4<f16>>(fetched.right[i].zw);
  }
}

fn load_left(at: u32, block: u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&left_tile, at + block * MATRIX_M * LEFT_STRIDE, LEFT_STRIDE);
}

fn load_right(at: u32, block: u32) -> Right {
  return subgroupMatrixLoad<Right, row_major>(&right_tile, at + block * MATRIX_N / 4u, RIGHT_STRIDE);
}

fn add_row(sums: ptr<function, ResultRow>, a: Left, b: array<Right, 4>) {
  (*sums)[0] = subgroupMatrixMultiplyAccumulate(a, b[0], (*sums)[0]);
  (*sums)[1] = subgroupMatrixMultiplyAccumulate(a, b[1], (*sums)[1]);
  if (BLOCKS_N == 2u) { return; }
  (*sums)[2] = subgroupMatrixMultiplyAccumulate(a, b[2], (*sums)[2]);
  (*sums)[3] = subgroupMatrixMultiplyAccumulate(a, b[3], (*sums)[3]);
}

fn matrix_sums(group: vec3u, local: u32) -> Sums {
  let begin = group.z * uniforms.slice;
  let end = min(begin + uniforms.slice, uniforms.steps);
  let subgroup = local / LANES;
  let left_at = (subgroup / SUBGROUPS_N) * BLOCKS_M * MATRIX_M * LEFT_STRIDE;
  let right_at = (subgroup % SUBGROUPS_N) * BLOCKS_N * MATRIX_N / 4u;
  var rows: array<Row, LEFT_FETCHES>;
  for (var i = 0u; i < LEFT_FETCHES; i++) {
    rows[i] = find_row(group.y * ROWS + local / LEFT_OCTETS + i * (INVOCATIONS / LEFT_OCTETS));
  }

  var row0: ResultRow;
  var row1: ResultRow;
  var row2: ResultRow;
  var row3: ResultRow;
  for (var step = begin; step <= end; step++) {                          // fetches step, multiplies the one before it
    var fetched = Fetched();
    if (step < end) { fetched = fetch(rows, group, local, step); }
    if (step > begin) {
      let buffer = (step - begin - 1u) % 2u;
      for (var k = 0u; k < DEPTH / MATRIX_K; k++) {
        let a = buffer * LEFT_SIZE + left_at + k * MATRIX_K / 4u;
        let b_at = buffer * RIGHT_SIZE + right_at + k * MATRIX_K * RIGHT_STRIDE;
        var b = array<Right, 4>();
        b[0] = load_right(b_at, 0u);
        b[1] = load_right(b_at, 1u);
        if (BLOCKS_N > 2u) {
          b[2] = load_right(b_at, 2u);
          b[3] = load_right(b_at, 3u);
        }
        add_row(&row0, load_left(a, 0u), b);
        add_row(&row1, load_left(a, 1u), b);
        if (BLOCKS_M > 2u) {
          add_row(&row2, load_left(a, 2u), b);
          add_row(&row3, load_left(a, 3u), b);
        }
      }
    }
    if (step < end) { put(fetched, local, (step - begin) % 2u); }
    workgroupBarrier();
  }
  return Sums(row0, row1, row2, row3);
}

struct Place { row: u32, quad: u32 }

fn first_place(group: vec3u, local: u32) -> Place {
  let subgroup = local / LANES;
  let quad = (group.x * COLUMNS + (subgroup % SUBGROUPS_N) * BLOCKS_N * MATRIX_N) / 4u;
  return Place(group.y * ROWS + (subgroup / SUBGROUPS_N) * BLOCKS_M * MATRIX_M, select(quad, quad / 2u, GEGLU));
}

fn gated(value: vec4f, gate: vec4f, quad: u32) -> vec4f {
  if ((uniforms.terms & 1u) == 0u) { return value * gelu4(gate); }
  return (value + bias[quad]) * gelu4(gate + bias[uniforms.quads + quad]);
}

const MATRIX_QUADS = MATRIX_N / 4u;                                      // of a result matrix's row
const STORED_QUADS = select(2u * MATRIX_QUADS, MATRIX_QUADS, GEGLU);     // of the output, from a row of two matrices
const PATCH_STRIDE = 2u * MATRIX_QUADS + 1u;
var<workgroup> patches: array<vec4f, SUBGROUPS * MATRIX_M * PATCH_STRIDE>;

fn store_pair(left: Result, right: Result, place: Place, local: u32) {
  let patch_at = (local / LANES) * MATRIX_M * PATCH_STRIDE;
  subgroupMatrixStore<row_major>(&patches, patch_at, left, PATCH_STRIDE);
  subgroupMatrixStore<row_major>(&patches, patch_at + MATRIX_QUADS, right, PATCH_STRIDE);
  workgroupBarrier();
  for (var i = local % LANES; i < MATRIX_M * STORED_QUADS; i += LANES) {
    let at = patch_at + (i / STORED_QUADS) * PATCH_STRIDE + i % STORED_QUADS;
    let row = place.row + i / STORED_QUADS;
    let quad = place.quad + i % STORED_QUADS;
    if (row < uniforms.rows && quad < uniforms.quads) {
      var value: vec4f;
      if (GEGLU) {
        value = gated(patches[at], patches[at + MATRIX_QUADS], quad);
      } else {
        value = epilogue(patches[at], bias_of(quad), row, quad);
      }
      y[row * uniforms.quads + quad] = vec4<f16>(value);
    }
  }
  workgroupBarrier();
}

fn store_tile(sums: Sums, group: vec3u, local: u32) {
  var rest = sums;
  var place = first_place(group, local);
  for (var i = 0u; i < BLOCKS_M; i++) {
    store_pair(rest.row0[0], rest.row0[1], place, local);
    if (BLOCKS_N > 2u) { store_pair(rest.row0[2], rest.row0[3], Place(place.row, place.quad + STORED_QUADS), local); }
    rest = Sums(rest.row1, rest.row2, rest.row3, rest.row3);
    place.row += MATRIX_M;
  }
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  store_tile(matrix_sums(group, local), group, local);
}
