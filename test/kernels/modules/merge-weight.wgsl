const DELTA = false;
const OUTPUT_GAIN = false;
const INPUT_GAIN = false;
const WORKGROUP_SIZE = 64u;
struct Uniforms { outputs: u32, taps: u32, row_inputs: u32, width: u32, column: u32, inner: u32, keep: f32, scale: f32, strength: f32 }
@group(0) @binding(0) var<storage, read_write> weight: array<f32>;
@group(0) @binding(1) var<storage, read> delta: array<f32>;
@group(0) @binding(2) var<storage, read> output_gain: array<f32>;
@group(0) @binding(3) var<storage, read> input_gain: array<f32>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

fn flat_index(id: vec3u, groups: vec3u) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP_SIZE;
}

fn weight_at(output: u32, j: u32) -> u32 {
  let row = (j % uniforms.taps) * uniforms.row_inputs + j / uniforms.taps;
  return row * uniforms.width + uniforms.column + output;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let i = flat_index(id, grid);
  if (i >= uniforms.outputs * uniforms.inner) { return; }
  let output = i % uniforms.outputs;
  let j = i / uniforms.outputs;
  var gain = 1.0;
  if (OUTPUT_GAIN) { gain *= output_gain[output]; }
  if (INPUT_GAIN) { gain *= input_gain[j / uniforms.taps]; }
  var change = 0.0;
  if (DELTA) { change = uniforms.scale * delta[output * uniforms.inner + j]; }
  let at = weight_at(output, j);
  let w = weight[at];
  weight[at] = w + uniforms.strength * (w * (uniforms.keep * gain - 1.0) + change * gain);
}
