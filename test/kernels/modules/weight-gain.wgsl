const DELTA = false;
const MAGNITUDE = false;
const BY_INPUT = false;
const WORKGROUP_SIZE = 64u;
struct Uniforms { outputs: u32, taps: u32, row_inputs: u32, width: u32, column: u32, inner: u32, scale: f32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> delta: array<f32>;
@group(0) @binding(2) var<storage, read> magnitude: array<f32>;
@group(0) @binding(3) var<storage, read_write> gain: array<f32>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

fn weight_at(output: u32, j: u32) -> u32 {
  let row = (j % uniforms.taps) * uniforms.row_inputs + j / uniforms.taps;
  return row * uniforms.width + uniforms.column + output;
}

fn square(output: u32, j: u32) -> f32 {
  var w = weight[weight_at(output, j)];
  if (DELTA) { w += uniforms.scale * delta[output * uniforms.inner + j]; }
  return w * w;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  let across = select(uniforms.outputs, uniforms.inner / uniforms.taps, BY_INPUT);
  if (i >= across) { return; }
  let along = select(uniforms.inner, uniforms.outputs * uniforms.taps, BY_INPUT);
  var sum = 0.0;
  for (var begin = 0u; begin < along; begin += 64u) {
    var part = 0.0;
    for (var k = begin; k < min(begin + 64u, along); k++) {
      if (BY_INPUT) {
        part += square(k / uniforms.taps, i * uniforms.taps + k % uniforms.taps);
      } else {
        part += square(i, k);
      }
    }
    sum += part;
  }
  var factor = 1.0;
  if (MAGNITUDE) { factor = magnitude[i]; }
  gain[i] = factor / (sqrt(sum) + uniforms.epsilon);
}
