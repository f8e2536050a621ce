enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
diagnostic(off, subgroup_uniformity);
const WORKGROUP_SIZE = 64u;
const MATRIX_M = 8u;
const MATRIX_N = 8u;
const MATRIX_K = 8u;
const LANES = 32u;
const SUBGROUPS = 4u;
const KEYS = 8u;
const INNER = 1u;
struct Uniforms { batch: u32, heads: u32, head_dim: u32, queries: u32, keys: u32, q_width: u32, k_width: u32, v_width: u32, q_column: u32, k_column: u32, v_column: u32, causal: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<u32>>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;              // columns first
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Result = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

const QUERIES = LANES * SUBGROUPS;                                       // of a workgroup, and its invocations
const BLOCKS = LANES / MATRIX_M;                                         // of a subgroup's queries
const COLUMNS = INNER * MATRIX_K;                                        // of a head, with padding
const COLUMN_BLOCKS = COLUMNS / MATRIX_N;
const KEY_BLOCKS = KEYS / MATRIX_N;
const OCTETS = COLUMNS / 8u;

// Rows are 16 bytes longer than their numbers, so that neighbouring rows begin in different banks. Strides count vec4.
const STRIDE = COLUMNS / 4u + 2u;                                        // of q, k, v
const WEIGHT_STRIDE = KEYS / 4u + 2u;
const SCORE_STRIDE = KEYS / 4u + 1u;
const V_AT = KEYS * STRIDE;
const WEIGHTS_AT = 2u * KEYS * STRIDE;
var<workgroup> halves: array<vec4<f16>, max(QUERIES * STRIDE, WEIGHTS_AT + QUERIES * WEIGHT_STRIDE)>;
var<workgroup> scores: array<vec4f, QUERIES * SCORE_STRIDE>;             // and sums on their way through
var<workgroup> must_scale: atomic<u32>;

const FETCHES = (KEYS * OCTETS + QUERIES - 1u) / QUERIES;
struct Fetched { k: array<vec4u, FETCHES>, v: array<vec4u, FETCHES> }

// This invocation's octets of the tile of keys from key on: zeros where there is no key or column.
fn fetch(key: u32, sample: u32, head: u32, local: u32) -> Fetched {
  var fetched = Fetched();
  for (var i = 0u; i < FETCHES; i++) {
    let row = key + (local + i * QUERIES) / OCTETS;
    let octet = (local + i * QUERIES) % OCTETS;
    if (row < uniforms.keys && octet < uniforms.head_dim) {
      let at = head * uniforms.head_dim + octet;
      fetched.k[i] = k[(sample * uniforms.keys + row) * uniforms.k_width + uniforms.k_column + at];
      fetched.v[i] = v[(sample * uniforms.keys + row) * uniforms.v_width + uniforms.v_column + at];
    }
  }
  return fetched;
}

fn put_octet(at: u32, octet: vec4u) {
  halves[at] = bitcast<vec4<f16>>(octet.xy);
  halves[at + 1u] = bitcast<vec4<f16>>(octet.zw);
}

fn put(fetched: Fetched, local: u32) {
  for (var i = 0u; i < FETCHES; i++) {
    let index = local + i * QUERIES;
    if (index < KEYS * OCTETS) {
      let at = (index / OCTETS) * STRIDE + 2u * (index % OCTETS);
      put_octet(at, fetched.k[i]);
      put_octet(V_AT + at, fetched.v[i]);
    }
  }
}

@compute @workgroup_size(QUERIES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let head = group.y;
  let sample = group.z;
  let first = group.x * QUERIES;
  let own = local / LANES * LANES;                                       // first query of the subgroup
  let query = first + local;
  let causal = uniforms.causal != 0u;
  let end = select(uniforms.keys, min(uniforms.keys, first + QUERIES), causal);
  let seen = select(uniforms.keys, min(uniforms.keys, query + 1u), causal);

  var fetched = fetch(0u, sample, head, local);
  for (var i = local; i < QUERIES * OCTETS; i += QUERIES) {
    let row = sample * uniforms.queries + min(first + i / OCTETS, uniforms.queries - 1u);
    let octet = i % OCTETS;
    var value = vec4u();
    if (octet < uniforms.head_dim) {
      value = q[row * uniforms.q_width + uniforms.q_column + head * uniforms.head_dim + octet];
    }
    put_octet((i / OCTETS) * STRIDE + 2u * octet, value);
  }
  workgroupBarrier();
  var q_blocks: array<Left, BLOCKS * INNER>;
  for (var b = 0u; b < BLOCKS; b++) {
    for (var i = 0u; i < INNER; i++) {
      q_blocks[b * INNER + i] =
        subgroupMatrixLoad<Left, row_major>(&halves, (own + b * MATRIX_M) * STRIDE + i * MATRIX_K / 4u, STRIDE);
    }
  }
  workgroupBarrier();

  var sums: array<Result, BLOCKS * COLUMN_BLOCKS>;
  var largest = 0.0;                                                     // or an older maximum not far below it
  var total = 0.0;
  for (var key = 0u; key < end; key += KEYS) {
    put(fetched, local);
    if (local == 0u) { atomicStore(&must_scale, 0u); }
    workgroupBarrier();
    if (key + KEYS < end) { fetched = fetch(key + KEYS, sample, head, local); }

    for (var n = 0u; n < KEY_BLOCKS; n++) {
      var products = array<Result, BLOCKS>();
      for (var i = 0u; i < INNER; i++) {
        let k_block = subgroupMatrixLoad<Right, col_major>(&halves, n * MATRIX_N * STRIDE + i * MATRIX_K / 4u, STRIDE);
        for (var b = 0u; b < BLOCKS; b++) {
          products[b] = subgroupMatrixMultiplyAccumulate(q_blocks[b * INNER + i], k_block, products[b]);
        }
      }
      for (var b = 0u; b < BLOCKS; b++) {
        let at = (own + b * MATRIX_M) * SCORE_STRIDE + n * MATRIX_N / 4u;
        subgroupMatrixStore<row_major>(&scores, at, products[b], SCORE_STRIDE);
      }
    }
    workgroupBarrier();

    var top = vec4f(-1e30);
    for (var c = 0u; c < KEYS / 4u; c++) {
      let hidden = vec4u(key + 4u * c) + vec4u(0u, 1u, 2u, 3u) >= vec4u(seen);
      let score = select(scores[local * SCORE_STRIDE + c] * uniforms.scale, vec4f(-1e30), hidden);
      scores[local * SCORE_STRIDE + c] = score;
      top = max(top, score);
    }
    let highest = max(max(top.x, top.y), max(top.z, top.w));
    if (key == 0u) { largest = highest; }
    if (highest > largest + 8.0) { atomicStore(&must_scale, 1u); }
    let scaling = workgroupUniformLoad(&must_scale) != 0u;
    var keep = 1.0;
    if (scaling) {
      keep = exp2(largest - max(largest, highest));
      largest = max(largest, highest);
      total *= keep;
    }
    for (var c = 0u; c < KEYS / 4u; c++) {
      let weight = vec4<f16>(exp2(scores[local * SCORE_STRIDE + c] - largest));
      halves[WEIGHTS_AT + local * WEIGHT_STRIDE + c] = weight;
      total += dot(vec4f(weight), vec4f(1.0));
    }
    workgroupBarrier();

    if (scaling) {
      for (var c = 0u; c < COLUMN_BLOCKS; c++) {
        for (var b = 0u; b < BLOCKS; b++) {
          let at = (own + b * MATRIX_M) * SCORE_STRIDE;
          subgroupMatrixStore<row_major>(&scores, at, sums[b * COLUMN_BLOCKS + c], SCORE_STRIDE);
        }
        workgroupBarrier();
        for (var i = 0u; i < MATRIX_N / 4u; i++) { scores[local * SCORE_STRIDE + i] *= keep; }
        workgroupBarrier();
        for (var b = 0u; b < BLOCKS; b++) {
          let at = (own + b * MATRIX_M) * SCORE_STRIDE;
          sums[b * COLUMN_BLOCKS + c] = subgroupMatrixLoad<Result, row_major>(&scores, at, SCORE_STRIDE);
        }
        workgroupBarrier();
      }
    }

    for (var i = 0u; i < KEYS / MATRIX_K; i++) {
      var weights = array<Left, BLOCKS>();
      for (var b = 0u; b < BLOCKS; b++) {
        let at = WEIGHTS_AT + (own + b * MATRIX_M) * WEIGHT_STRIDE + i * MATRIX_K / 4u;
        weights[b] = subgroupMatrixLoad<Left, row_major>(&halves, at, WEIGHT_STRIDE);
      }
      for (var c = 0u; c < COLUMN_BLOCKS; c++) {
        let v_at = V_AT + i * MATRIX_K * STRIDE + c * MATRIX_N / 4u;
        let v_block = subgroupMatrixLoad<Right, row_major>(&halves, v_at, STRIDE);
        for (var b = 0u; b < BLOCKS; b++) {
          let s = b * COLUMN_BLOCKS + c;
          sums[s] = subgroupMatrixMultiplyAccumulate(weights[b], v_block, sums[s]);
        }
      }
    }
    workgroupBarrier();
  }

  let y_at = ((sample * uniforms.queries + query) * uniforms.heads + head) * uniforms.head_dim;
  for (var c = 0u; c < COLUMN_BLOCKS; c++) {
    for (var b = 0u; b < BLOCKS; b++) {
      subgroupMatrixStore<row_major>(&scores, (own + b * MATRIX_M) * SCORE_STRIDE, sums[b * COLUMN_BLOCKS + c], SCORE_STRIDE);
    }
    workgroupBarrier();
    for (var i = 0u; i < MATRIX_N / 8u; i++) {
      let octet = c * (MATRIX_N / 8u) + i;
      if (query < uniforms.queries && octet < uniforms.head_dim) {
        let left = scores[local * SCORE_STRIDE + 2u * i] / total;
        let right = scores[local * SCORE_STRIDE + 2u * i + 1u] / total;
        y[y_at + octet] = vec4u(
          pack2x16float(left.xy), pack2x16float(left.zw), pack2x16float(right.xy), pack2x16float(right.zw),
        );
      }
    }
    workgroupBarrier();
  }
}
