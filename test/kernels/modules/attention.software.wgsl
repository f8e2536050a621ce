enable subgroups;
diagnostic(off, subgroup_uniformity);
alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const LANES = 8u;
const KEY_BLOCKS = 2u;
struct Uniforms { batch: u32, heads: u32, head_dim: u32, queries: u32, keys: u32, q_width: u32, k_width: u32, v_width: u32, q_column: u32, k_column: u32, v_column: u32, causal: u32, scale: f32, query_blocks: u32, tiles: u32, workers: u32 }
@group(0) @binding(0) var<storage, read> q: array<Element4>;
@group(0) @binding(1) var<storage, read> k: array<Element4>;
@group(0) @binding(2) var<storage, read> v: array<Element4>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> tickets: array<atomic<u32>>;
@group(0) @binding(5) var<uniform> uniforms: Uniforms;

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

alias Scores = array<vec2f, LANES>;                              // of a block of keys, for a lane's two queries
const QUERIES = 2u * LANES;                                      // of a tile
const KEYS = LANES * KEY_BLOCKS;                                 // of a round

// Four columns of the dot product; pair[d] holds column d of both queries.
fn add_score(sum: vec2f, key: vec4f, pair: mat4x2f) -> vec2f {
  return fma(vec2f(key.w), pair[3], fma(vec2f(key.z), pair[2], fma(vec2f(key.y), pair[1], fma(vec2f(key.x), pair[0], sum))));
}

fn add_scores(sums: Scores, keys: vec4f, pair: mat4x2f) -> Scores {
  var r = sums;
  r[0] = add_score(r[0], subgroupBroadcast(keys, 0u), pair);
  r[1] = add_score(r[1], subgroupBroadcast(keys, 1u), pair);
  r[2] = add_score(r[2], subgroupBroadcast(keys, 2u), pair);
  r[3] = add_score(r[3], subgroupBroadcast(keys, 3u), pair);
  if (LANES == 8u) {                                             // the remainder only keeps unused indices in range
    r[4u % LANES] = add_score(r[4u % LANES], subgroupBroadcast(keys, 4u), pair);
    r[5u % LANES] = add_score(r[5u % LANES], subgroupBroadcast(keys, 5u), pair);
    r[6u % LANES] = add_score(r[6u % LANES], subgroupBroadcast(keys, 6u), pair);
    r[7u % LANES] = add_score(r[7u % LANES], subgroupBroadcast(keys, 7u), pair);
  }
  return r;
}

fn add_value(sums: mat2x4f, weight: vec2f, value: vec4f) -> mat2x4f {
  return mat2x4f(fma(vec4f(weight.x), value, sums[0]), fma(vec4f(weight.y), value, sums[1]));
}

fn add_values(sums: mat2x4f, weights: Scores, values: vec4f) -> mat2x4f {
  var r = add_value(sums, weights[0], subgroupBroadcast(values, 0u));
  r = add_value(r, weights[1], subgroupBroadcast(values, 1u));
  r = add_value(r, weights[2], subgroupBroadcast(values, 2u));
  r = add_value(r, weights[3], subgroupBroadcast(values, 3u));
  if (LANES == 8u) {
    r = add_value(r, weights[4u % LANES], subgroupBroadcast(values, 4u));
    r = add_value(r, weights[5u % LANES], subgroupBroadcast(values, 5u));
    r = add_value(r, weights[6u % LANES], subgroupBroadcast(values, 6u));
    r = add_value(r, weights[7u % LANES], subgroupBroadcast(values, 7u));
  }
  return r;
}

fn compute_tile(tile: u32, lane: u32) {
  let first = tile % uniforms.query_blocks * QUERIES;
  let head = tile / uniforms.query_blocks % uniforms.heads;
  let sample = tile / (uniforms.query_blocks * uniforms.heads);
  let query = first + lane + vec2u(0u, LANES);
  let row = sample * uniforms.queries + min(query, vec2u(uniforms.queries - 1u));
  let q_at = row * uniforms.q_width + uniforms.q_column + head * uniforms.head_dim;
  let y_at = (row * uniforms.heads + head) * uniforms.head_dim;
  let causal = uniforms.causal != 0u;
  let seen = select(vec2u(uniforms.keys), query + 1u, vec2<bool>(causal));
  let end = select(uniforms.keys, min(uniforms.keys, first + QUERIES), causal);

  var largest = vec2f(-3.4e38);                                  // online softmax (Milakov and Gimelshein 2018), by query
  var total = vec2f();
  var key = 0u;
  loop {
    var key_row: array<u32, KEY_BLOCKS>;
    var scores = array<Scores, KEY_BLOCKS>();                    // spelt out: Dawn (webgpu 0.6.2) clears a bare var only once
    for (var b = 0u; b < KEY_BLOCKS; b++) {
      key_row[b] = sample * uniforms.keys + min(key + LANES * b + lane, uniforms.keys - 1u);
    }

    var c = 0u;
    loop {
      let pair = transpose(mat2x4f(vec4f(q[q_at.x + c]), vec4f(q[q_at.y + c]))) * uniforms.scale;
      for (var b = 0u; b < KEY_BLOCKS; b++) {
        let k_at = key_row[b] * uniforms.k_width + uniforms.k_column + head * uniforms.head_dim;
        scores[b] = add_scores(scores[b], vec4f(k[k_at + c]), pair);
      }
      continuing {
        c++;
        break if c >= uniforms.head_dim;
      }
    }

    let before = largest;
    for (var b = 0u; b < KEY_BLOCKS; b++) {
      for (var j = 0u; j < LANES; j++) {
        scores[b][j] = select(vec2f(-3.4e38), scores[b][j], vec2u(key + LANES * b + j) < min(seen, vec2u(uniforms.keys)));
        largest = max(largest, scores[b][j]);
      }
    }
    let keep = exp2(before - largest);
    total *= keep;
    for (var b = 0u; b < KEY_BLOCKS; b++) {
      for (var j = 0u; j < LANES; j++) {
        scores[b][j] = exp2(scores[b][j] - largest);
        total += scores[b][j];
      }
    }

    let factor = select(vec2f(1.0), 1.0 / total, key + KEYS >= end);
    c = 0u;
    loop {
      // The first tile reads y too, whatever it holds: a branch costs all the other tiles more.
      var sums = mat2x4f(
        select(vec4f(), y[y_at.x + c] * keep.x, key > 0u),
        select(vec4f(), y[y_at.y + c] * keep.y, key > 0u),
      );
      for (var b = 0u; b < KEY_BLOCKS; b++) {
        let v_at = key_row[b] * uniforms.v_width + uniforms.v_column + head * uniforms.head_dim;
        sums = add_values(sums, scores[b], vec4f(v[v_at + c]));
      }
      if (query.x < uniforms.queries) { y[y_at.x + c] = sums[0] * factor.x; }
      if (query.y < uniforms.queries) { y[y_at.y + c] = sums[1] * factor.y; }
      continuing {
        c++;
        break if c >= uniforms.head_dim;
      }
    }
    continuing {
      key += KEYS;
      break if key >= end;
    }
  }
}
