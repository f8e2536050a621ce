const HALVES = false;
const SCALED = false;
const WORKGROUP_SIZE = 64u;
const FORMAT = 0u;
const BLOCK = 32u;
struct Uniforms { first: u32, outputs: u32, inner: u32, taps: u32, inputs: u32, width: u32, column: u32, slot: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> weight: array<u32>;
@group(0) @binding(2) var<storage, read_write> largest: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

/// F32 bits of an F16.
fn single_of_half(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u;
  let magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) { return sign | 0x7f800000u | (magnitude << 13u); }
  if (magnitude >= 0x0400u) { return sign | ((magnitude << 13u) + 0x38000000u); }
  return sign | bitcast<u32>(f32(magnitude) * 0x1p-24);
}

/// F32 bits of element i of the source.
fn single_of(i: u32) -> u32 {
  if (FORMAT == 0u) { return source[i]; }
  if (FORMAT == 1u) { return single_of_half((source[i >> 1u] >> ((i & 1u) * 16u)) & 0xffffu); }
  if (FORMAT == 2u) { return ((source[i >> 1u] >> ((i & 1u) * 16u)) & 0xffffu) << 16u; }
  let byte = (source[i >> 2u] >> ((i & 3u) * 8u)) & 0xffu;
  if (FORMAT == 4u) { return single_of_half(byte << 8u); }
  let sign = (byte & 0x80u) << 24u;
  let magnitude = byte & 0x7fu;
  if (magnitude == 0x7fu) { return sign | 0x7fc00000u; }
  if (magnitude >= 8u) { return sign | ((magnitude << 20u) + 0x3c000000u); }
  return sign | bitcast<u32>(f32(magnitude) * 0x1p-9);
}

/// F16 bits of F32 bits.
fn half_of_single(bits: u32) -> u32 {
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x47800000u) { return sign | select(0x7c00u, 0x7e00u, magnitude > 0x7f800000u); }
  if (magnitude >= 0x38800000u) { return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u); }
  if (magnitude < 0x33000000u) { return sign; }
  let shift = 126u - (magnitude >> 23u);
  let fraction = (magnitude & 0x7fffffu) | 0x800000u;
  return sign | ((fraction + (1u << (shift - 1u)) - 1u + ((fraction >> shift) & 1u)) >> shift);
}

var<private> most: u32;

fn element(output: u32, j: u32) -> u32 {
  if (output >= uniforms.outputs) { return 0u; }
  var bits = single_of(uniforms.first + output * uniforms.inner + j);
  if (SCALED && (bits & 0x7fffffffu) < 0x7f800000u) { bits = bitcast<u32>(bitcast<f32>(bits) * uniforms.scale); }
  most = max(most, bits & 0x7fffffffu);
  if (HALVES) { return half_of_single(bits); }
  return bits;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let output = id.x * 4u;
  if (output >= uniforms.outputs) { return; }
  let end = min((id.y + 1u) * BLOCK, uniforms.inner);
  for (var j = id.y * BLOCK; j < end; j++) {
    let row = (j % uniforms.taps) * uniforms.inputs + j / uniforms.taps;
    let at = row * uniforms.width + uniforms.column + output;
    let a = element(output, j);
    let b = element(output + 1u, j);
    let c = element(output + 2u, j);
    let d = element(output + 3u, j);
    if (HALVES) {
      weight[at >> 1u] = a | (b << 16u);
      weight[(at >> 1u) + 1u] = c | (d << 16u);
    } else {
      weight[at] = a;
      weight[at + 1u] = b;
      weight[at + 2u] = c;
      weight[at + 3u] = d;
    }
  }
  if (most > atomicLoad(&largest[uniforms.slot])) { atomicMax(&largest[uniforms.slot], most); }
}
