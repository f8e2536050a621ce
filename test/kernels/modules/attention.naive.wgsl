alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const WORKGROUP_SIZE = 64u;
const COLUMNS = 8u;
struct Uniforms { batch: u32, heads: u32, head_dim: u32, queries: u32, keys: u32, q_width: u32, k_width: u32, v_width: u32, q_column: u32, k_column: u32, v_column: u32, causal: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<Element>;
@group(0) @binding(1) var<storage, read> k: array<Element>;
@group(0) @binding(2) var<storage, read> v: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  let dims = uniforms.head_dim;
  let blocks = (dims + COLUMNS - 1u) / COLUMNS;
  let row = i / (blocks * uniforms.heads);                       // sample * queries + query
  if (row >= uniforms.batch * uniforms.queries) { return; }
  let first = (i % blocks) * COLUMNS;                            // of the head's columns
  let head = (i / blocks) % uniforms.heads;
  let sample = row / uniforms.queries;
  let seen = select(uniforms.keys, row % uniforms.queries + 1u, uniforms.causal != 0u);
  let q_at = row * uniforms.q_width + uniforms.q_column + head * dims;

  var largest = -3.4e38;                                         // of the scores so far
  var total = 0.0;                                               // sum of exp(score - largest)
  var sums: array<f32, COLUMNS>;                                 // the same, weighted with v
  for (var key = 0u; key < seen; key++) {
    let k_at = (sample * uniforms.keys + key) * uniforms.k_width + uniforms.k_column + head * dims;
    let v_at = (sample * uniforms.keys + key) * uniforms.v_width + uniforms.v_column + head * dims;
    var score = 0.0;
    for (var d = 0u; d < dims; d++) { score += f32(q[q_at + d]) * f32(k[k_at + d]); }
    score *= uniforms.scale;
    let before = largest;
    largest = max(before, score);
    let keep = exp(before - largest);                            // corrects what was summed under a smaller maximum
    let weight = exp(score - largest);
    total = total * keep + weight;
    for (var c = 0u; c < COLUMNS; c++) {
      sums[c] = sums[c] * keep + weight * f32(v[v_at + min(first + c, dims - 1u)]);
    }
  }
  let y_at = (row * uniforms.heads + head) * dims + first;
  for (var c = 0u; c < COLUMNS; c++) {
    if (first + c < dims) { y[y_at + c] = Element(sums[c] / total); }
  }
}
