enable subgroups;
diagnostic(off, subgroup_uniformity);
alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const LANES = 8u;
const COLUMNS = 2u;
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

const QUERIES = 4u * LANES;                                      // of a tile
const ROWS = 4u * COLUMNS;                                       // a lane's quads of q, query by query

// x of every lane.
fn spread(x: vec4f) -> array<vec4f, LANES> {
  var all: array<vec4f, LANES>;
  all[0] = subgroupBroadcast(x, 0u);
  all[1] = subgroupBroadcast(x, 1u);
  all[2] = subgroupBroadcast(x, 2u);
  all[3] = subgroupBroadcast(x, 3u);
  if (LANES == 8u) {                                             // the remainder only keeps unused indices in range
    all[4u % LANES] = subgroupBroadcast(x, 4u);
    all[5u % LANES] = subgroupBroadcast(x, 5u);
    all[6u % LANES] = subgroupBroadcast(x, 6u);
    all[7u % LANES] = subgroupBroadcast(x, 7u);
  }
  return all;
}

fn compute_tile(tile: u32, lane: u32) {
  let block = tile % uniforms.query_blocks;
  let head = tile / uniforms.query_blocks % uniforms.heads;
  let sample = tile / (uniforms.query_blocks * uniforms.heads);
  let first = block * QUERIES + lane;
  let query = first + LANES * vec4u(0u, 1u, 2u, 3u);
  let causal = uniforms.causal != 0u;
  let seen = min(select(vec4u(uniforms.keys), query + 1u, vec4<bool>(causal)), vec4u(uniforms.keys));
  let end = select(uniforms.keys, min(uniforms.keys, block * QUERIES + QUERIES), causal);

  var rows: array<vec4f, ROWS>;
  var i = 0u;
  loop {
    let row = sample * uniforms.queries + min(first + i / COLUMNS * LANES, uniforms.queries - 1u);
    let x = q[row * uniforms.q_width + uniforms.q_column + head * uniforms.head_dim + i % COLUMNS];
    rows[i] = vec4f(x) * uniforms.scale;
    continuing {
      i++;
      break if i >= 4u * uniforms.head_dim;
    }
  }

  var sums: array<vec4f, ROWS>;
  var largest = vec4f(-3.4e38);                                  // online softmax (Milakov and Gimelshein 2018), by query
  var total = vec4f();
  var key = 0u;
  loop {
    let row = sample * uniforms.keys + min(key + lane, uniforms.keys - 1u);
    let k_at = row * uniforms.k_width + uniforms.k_column + head * uniforms.head_dim;
    let v_at = row * uniforms.v_width + uniforms.v_column + head * uniforms.head_dim;
    var quads = array<vec4f, COLUMNS>();                         // of the lane's key; spelt out as Dawn clears a bare var only once
    var load = 0u;
    loop {
      for (var n = 1u; n < COLUMNS; n++) { quads[n - 1u] = quads[n]; }
      quads[COLUMNS - 1u] = vec4f(k[k_at + load]);
      continuing {
        load++;
        break if load >= uniforms.head_dim;
      }
    }
    var scores = array<vec4f, LANES>();
    for (var c = 0u; c < COLUMNS; c++) {
      let keys = spread(quads[c]);
      let column = transpose(mat4x4f(rows[c], rows[COLUMNS + c], rows[2u * COLUMNS + c], rows[3u * COLUMNS + c]));
      for (var j = 0u; j < LANES; j++) {
        for (var e = 0u; e < 4u; e++) { scores[j] = fma(vec4f(keys[j][e]), column[e], scores[j]); }
      }
    }

    let before = largest;
    for (var j = 0u; j < LANES; j++) {
      scores[j] = select(vec4f(-3.4e38), scores[j], vec4u(key + j) < seen);
      largest = max(largest, scores[j]);
    }
    let keep = exp2(before - largest);
    total *= keep;
    for (var j = 0u; j < LANES; j++) {
      scores[j] = exp2(scores[j] - largest);
      total += scores[j];
    }

    load = 0u;
    loop {
      for (var n = 1u; n < COLUMNS; n++) { quads[n - 1u] = quads[n]; }
      quads[COLUMNS - 1u] = vec4f(v[v_at + load]);
      continuing {
        load++;
        break if load >= uniforms.head_dim;
      }
    }
    for (var c = 0u; c < COLUMNS; c++) {
      let values = spread(quads[c]);
      for (var r = 0u; r < 4u; r++) {
        var sum = sums[r * COLUMNS + c] * keep[r];
        for (var j = 0u; j < LANES; j++) { sum = fma(vec4f(scores[j][r]), values[j], sum); }
        sums[r * COLUMNS + c] = sum;
      }
    }
    continuing {
      key += LANES;
      break if key >= end;
    }
  }

  i = 0u;
  loop {
    let row = first + i / COLUMNS * LANES;
    if (row < uniforms.queries) {
      y[((sample * uniforms.queries + row) * uniforms.heads + head) * uniforms.head_dim + i % COLUMNS] = sums[0] / total[0];
    }
    for (var n = 1u; n < ROWS; n++) { sums[n - 1u] = sums[n]; }  // what comes next moves to the front: no index at run time
    if (i % COLUMNS == COLUMNS - 1u) { total = total.yzww; }
    continuing {
      i++;
      break if i >= 4u * uniforms.head_dim;
    }
  }
}
