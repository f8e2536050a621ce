const DELTA = false;
const OUTPUT_GAIN = false;
const INPUT_GAIN = false;
const WORKGROUP_SIZE = 64u;
const BLOCK = 16u;
struct Uniforms { outputs: u32, taps: u32, row_inputs: u32, width: u32, column: u32, inner: u32, keep: f32, scale: f32, strength: f32 }
@group(0) @binding(0) var<storage, read_write> weight: array<f32>;
@group(0) @binding(1) var<storage, read> delta: array<f32>;
@group(0) @binding(2) var<storage, read> output_gain: array<f32>;
@group(0) @binding(3) var<storage, read> input_gain: array<f32>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

fn weight_at(output: u32, j: u32) -> u32 {
  let row = (j % uniforms.taps) * uniforms.row_inputs + j / uniforms.taps;
  return row * uniforms.width + uniforms.column + output;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let output = id.x;
  if (output >= uniforms.outputs) { return; }
  var output_factor = 1.0;
  if (OUTPUT_GAIN) { output_factor = output_gain[output]; }
  let end = min((id.y + 1u) * BLOCK, uniforms.inner);
  for (var j = id.y * BLOCK; j < end; j++) {
    var gain = output_factor;
    if (INPUT_GAIN) { gain *= input_gain[j / uniforms.taps]; }
    var change = 0.0;
    if (DELTA) { change = uniforms.scale * delta[output * uniforms.inner + j]; }
    let at = weight_at(output, j);
    let w = weight[at];
    weight[at] = w + uniforms.strength * (w * (uniforms.keep * gain - 1.0) + change * gain);
  }
}
