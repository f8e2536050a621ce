alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 128u;
const QUERIES = 32u;
const COLUMNS = 1u;
struct Uniforms { batch: u32, heads: u32, head_dim: u32, queries: u32, keys: u32, q_width: u32, k_width: u32, v_width: u32, q_column: u32, k_column: u32, v_column: u32, causal: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<Element4>;
@group(0) @binding(1) var<storage, read> k: array<Element4>;
@group(0) @binding(2) var<storage, read> v: array<Element4>;
@group(0) @binding(3) var<storage, read_write> y: array<Element4>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

const KEYS = 64u;                                                // of a tile: 4 a lane, 16 apart
const STEP = 2u;                                                 // vec4 columns of q and k staged at once
const QUADS = QUERIES / 4u;                                      // of queries

var<workgroup> q_tile: array<vec4f, STEP * QUERIES>;             // [column][query]
var<workgroup> k_tile: array<vec4f, STEP * KEYS>;                // [column][key]
var<workgroup> weights: array<vec4f, QUERIES * 16u>;             // [query][lane]: a lane's four keys
var<workgroup> shares: array<vec4f, 16u * QUADS>;                // [lane][quad of queries]: maxima, then sums

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let lane = local % 16u;
  let quad = local / 16u;
  let head = group.y;
  let sample = group.z;
  let dims = uniforms.head_dim;
  let first = group.x * QUERIES;
  let causal = uniforms.causal != 0u;
  let end = select(uniforms.keys, min(uniforms.keys, first + QUERIES), causal);
  let q_at = sample * uniforms.queries * uniforms.q_width + uniforms.q_column + head * dims;
  let k_at = sample * uniforms.keys * uniforms.k_width + uniforms.k_column + head * dims;
  let v_at = sample * uniforms.keys * uniforms.v_width + uniforms.v_column + head * dims;

  var largest = vec4f(-3.4e38);                                  // online softmax (Milakov and Gimelshein 2018), by query
  var total = vec4f();                                           // of this lane's keys only
  var sums: array<array<vec4f, COLUMNS>, 4>;                     // [query][column]
  for (var key = 0u; key < end; key += KEYS) {
    var scores = array<vec4f, 4>();                              // [query][key]; Dawn (webgpu 0.6.2) clears a bare var only once
    for (var c = 0u; c < dims; c += STEP) {
      workgroupBarrier();
      for (var i = local; i < STEP * QUERIES; i += WORKGROUP_SIZE) {
        let column = c + i % STEP;
        let query = min(first + i / STEP, uniforms.queries - 1u);
        let value = vec4f(q[q_at + query * uniforms.q_width + min(column, dims - 1u)]);
        q_tile[(i % STEP) * QUERIES + i / STEP] = select(vec4f(), value * uniforms.scale, column < dims);
      }
      for (var i = local; i < STEP * KEYS; i += WORKGROUP_SIZE) {
        let column = c + i % STEP;
        let row = min(key + i / STEP, uniforms.keys - 1u);
        let value = vec4f(k[k_at + row * uniforms.k_width + min(column, dims - 1u)]);
        k_tile[(i % STEP) * KEYS + i / STEP] = select(vec4f(), value, column < dims);
      }
      workgroupBarrier();
      for (var s = 0u; s < STEP; s++) {
        let k0 = k_tile[s * KEYS + lane];
        let k1 = k_tile[s * KEYS + lane + 16u];
        let k2 = k_tile[s * KEYS + lane + 32u];
        let k3 = k_tile[s * KEYS + lane + 48u];
        for (var r = 0u; r < 4u; r++) {
          let x = q_tile[s * QUERIES + quad * 4u + r];
          scores[r] += vec4f(dot(x, k0), dot(x, k1), dot(x, k2), dot(x, k3));
        }
      }
    }

    let own = vec4u(key + lane) + vec4u(0u, 16u, 32u, 48u);      // this lane's keys
    var top: vec4f;
    for (var r = 0u; r < 4u; r++) {
      let seen = select(uniforms.keys, min(uniforms.keys, first + quad * 4u + r + 1u), causal);
      scores[r] = select(vec4f(-3.4e38), scores[r], own < vec4u(seen));
      top[r] = max(max(scores[r].x, scores[r].y), max(scores[r].z, scores[r].w));
    }
    shares[lane * QUADS + quad] = top;
    workgroupBarrier();
    let before = largest;
    let lanes = min(end - key, 16u);                             // that have a key of this tile
    for (var i = 0u; i < lanes; i++) { largest = max(largest, shares[i * QUADS + quad]); }
    let keep = exp2(before - largest);
    total *= keep;
    for (var r = 0u; r < 4u; r++) {
      let weight = exp2(scores[r] - largest[r]);
      weights[(quad * 4u + r) * 16u + lane] = weight;
      total[r] += dot(weight, vec4f(1.0));
      for (var c = 0u; c < COLUMNS; c++) { sums[r][c] *= keep[r]; }
    }
    workgroupBarrier();

    for (var i = 0u; i < lanes; i++) {
      let w0 = weights[(quad * 4u) * 16u + i];
      let w1 = weights[(quad * 4u + 1u) * 16u + i];
      let w2 = weights[(quad * 4u + 2u) * 16u + i];
      let w3 = weights[(quad * 4u + 3u) * 16u + i];
      for (var s = 0u; s < 4u; s++) {
        let row = min(key + i + 16u * s, uniforms.keys - 1u);
        for (var c = 0u; c < COLUMNS; c++) {
          let value = vec4f(v[v_at + row * uniforms.v_width + min(lane + 16u * c, dims - 1u)]);
          sums[0][c] += w0[s] * value;
          sums[1][c] += w1[s] * value;
          sums[2][c] += w2[s] * value;
          sums[3][c] += w3[s] * value;
        }
      }
    }
  }

  shares[lane * QUADS + quad] = total;
  workgroupBarrier();
  total = vec4f();
  for (var i = 0u; i < min(end, 16u); i++) { total += shares[i * QUADS + quad]; }
  for (var r = 0u; r < 4u; r++) {
    let query = first + quad * 4u + r;
    for (var c = 0u; c < COLUMNS; c++) {
      let column = lane + 16u * c;
      if (query < uniforms.queries && column < dims) {
        y[((sample * uniforms.queries + query) * uniforms.heads + head) * dims + column] = Element4(sums[r][c] / total[r]);
      }
    }
  }
}
