const WORKGROUP_SIZE = 64u;
struct Uniforms { pixels: u32, channels: u32, groups: u32, slabs: u32, slab_pixels: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> moments: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
@group(0) @binding(3) var<storage, read_write> affine: array<f32>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;

var<workgroup> parts: array<f32, WORKGROUP_SIZE>;

// Sum of one number of each invocation, the same in all of them.
fn total(value: f32, local: u32) -> f32 {
  if (WORKGROUP_SIZE == 1u) { return value; }
  parts[local] = value;
  for (var step = WORKGROUP_SIZE / 2u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (local < step) { parts[local] += parts[local + step]; }
  }
  let sum = workgroupUniformLoad(&parts[0]);
  return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let width = uniforms.channels / uniforms.groups;
  let first = group.x * width;
  let entries = uniforms.slabs * width;
  let sample = group.y * uniforms.slabs * 2u * uniforms.channels;
  let count = f32(uniforms.pixels * width);

  var sum = 0.0;
  for (var i = local; i < entries; i += WORKGROUP_SIZE) {
    let slab = i / width;
    let pixels = min(uniforms.slab_pixels, uniforms.pixels - slab * uniforms.slab_pixels);
    sum += f32(pixels) * moments[sample + slab * 2u * uniforms.channels + first + i % width];
  }
  let mean = total(sum, local) / count;

  var squares = 0.0;
  for (var i = local; i < entries; i += WORKGROUP_SIZE) {
    let slab = i / width;
    let pixels = min(uniforms.slab_pixels, uniforms.pixels - slab * uniforms.slab_pixels);
    let at = sample + slab * 2u * uniforms.channels + first + i % width;
    let distance = moments[at] - mean;
    squares += moments[at + uniforms.channels] + f32(pixels) * distance * distance;
  }
  let inverse_deviation = inverseSqrt(total(squares, local) / count + uniforms.eps);

  for (var c = first + local; c < first + width; c += WORKGROUP_SIZE) {
    let factor = inverse_deviation * gain[c];
    affine[group.y * 2u * uniforms.channels + c] = factor;
    affine[(group.y * 2u + 1u) * uniforms.channels + c] = shift[c] - mean * factor;
  }
}
