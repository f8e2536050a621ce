enable subgroups;
diagnostic(off, subgroup_uniformity);
alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const BESIDE = false;
const WORKGROUP_SIZE = 64u;
const LANES = 8u;
const PART = 512u;
struct Uniforms { pixels: u32, quads: u32, own: u32, groups: u32, width: u32, across: u32, eps: f32, silu: u32, tiles: u32, workers: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> beside: array<Element4>;
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Element4>;
@group(0) @binding(5) var<storage, read_write> tickets: array<atomic<u32>>;
@group(0) @binding(6) var<uniform> uniforms: Uniforms;

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

fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-x, 80.0)));
}
fn silu4(x: vec4f) -> vec4f {
  return x / (1.0 + exp(min(-x, vec4f(80.0))));
}

fn input4(pixel: u32, quad: u32) -> vec4f {
  if (BESIDE && quad >= uniforms.own) {
    return vec4f(beside[pixel * (uniforms.quads - uniforms.own) + quad - uniforms.own]);
  }
  return vec4f(x[pixel * uniforms.own + quad]);
}

// Sum of one number of each lane, the same in all of them.
fn total(value: f32) -> f32 {
  var sum = value;
  for (var step = LANES / 2u; step > 0u; step /= 2u) { sum += subgroupShuffleXor(sum, step); }
  return sum;
}

fn compute_tile(tile: u32, lane: u32) {
  let group = tile % uniforms.groups;
  let sample = tile / uniforms.groups;
  let first = group * uniforms.width + lane % uniforms.across;
  let last = first + uniforms.width;
  let begin = sample * uniforms.pixels + lane / uniforms.across;
  let end = (sample + 1u) * uniforms.pixels;
  let step = LANES / uniforms.across;

  var origin = 0.0;
  var sum = vec4f();
  var squares = vec4f();
  var count = 0.0;
  for (var quad = first; quad < last; quad += uniforms.across) {
    for (var part = begin; part < end; part += PART * step) {
      var part_sum = vec4f();
      var part_squares = vec4f();
      for (var pixel = part; pixel < min(part + PART * step, end); pixel += step) {
        let value = input4(pixel, quad);
        origin = select(origin, max(min(value.x, value.y), min(value.z, value.w)), count == 0.0);
        let distance = value - origin;
        part_sum += distance;
        part_squares += distance * distance;
        count += 1.0;
      }
      sum += part_sum;
      squares += part_squares;
    }
  }
  let numbers = f32(4u * uniforms.pixels * uniforms.width);
  let mean_distance = sum / max(count, 1.0);                      // a lane may have had no pixel
  let mean = total(dot(origin + mean_distance, vec4f(count))) / numbers;
  let offset = origin + mean_distance - mean;
  let distances = squares - sum * mean_distance + offset * offset * count;
  let inverse_deviation = inverseSqrt(total(dot(distances, vec4f(1.0))) / numbers + uniforms.eps);

  for (var quad = first; quad < last; quad += uniforms.across) {
    let factor = inverse_deviation * gain[quad];
    let summand = shift[quad] - mean * factor;
    for (var pixel = begin; pixel < end; pixel += step) {
      var value = input4(pixel, quad) * factor + summand;
      if (uniforms.silu != 0u) { value = silu4(value); }           // not a flag: see above
      y[pixel * uniforms.quads + quad] = Element4(value);
    }
  }
}
