alias Element = f32;
alias Element2 = vec2<f32>;
alias Element4 = vec4<f32>;
const BESIDE = false;
const WORKGROUP_SIZE = 64u;
const QUADS = 16u;
const LANES = 16u;
struct Uniforms { first_sample: u32, pixels: u32, quads: u32, own: u32, slab_pixels: u32, first_slab: u32, all_slabs: u32 }
@group(0) @binding(0) var<storage, read> x: array<Element4>;
@group(0) @binding(1) var<storage, read> beside: array<Element4>;
@group(0) @binding(2) var<storage, read_write> moments: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> uniforms: Uniforms;

fn input4(pixel: u32, quad: u32) -> vec4f {
  if (BESIDE && quad >= uniforms.own) {
    return vec4f(beside[pixel * (uniforms.quads - uniforms.own) + quad - uniforms.own]);
  }
  return vec4f(x[pixel * uniforms.own + quad]);
}

var<workgroup> means: array<vec4f, QUADS * LANES>;
var<workgroup> distances: array<vec4f, QUADS * LANES>;

// How many pixels of a slab with that many the lanes first, first + 1, ... first + lanes - 1 have.
fn share(pixels: u32, first: u32, lanes: u32) -> f32 {
  let rounds = pixels / LANES;
  let rest = pixels % LANES;
  return f32(rounds * lanes + min(lanes, max(rest, first) - first));
}

@compute @workgroup_size(QUADS * LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let quad = group.x * QUADS + local % QUADS;
  let lane = local / QUADS;
  let begin = group.y * uniforms.slab_pixels;
  let end = min(begin + uniforms.slab_pixels, uniforms.pixels);
  let inside = quad < uniforms.quads;

  var mean = vec4f();
  var squares = vec4f();
  if (inside && begin + lane < end) {
    let row = group.z * uniforms.pixels;
    let origin = input4(row + begin + lane, quad);
    var sum = vec4f();
    for (var p = begin + lane + LANES; p < end; p += LANES) {
      let distance = input4(row + p, quad) - origin;
      sum += distance;
      squares += distance * distance;
    }
    let count = share(end - begin, lane, 1u);
    mean = origin + sum / count;
    squares -= sum * sum / count;
  }

  if (LANES > 1u) {
    means[local] = mean;
    distances[local] = squares;
    for (var step = 1u; step < LANES; step *= 2u) {
      workgroupBarrier();
      if (lane % (2u * step) == 0u && lane + step < LANES) {
        let here = share(end - begin, lane, step);
        let there = share(end - begin, lane + step, step);
        if (there > 0.0) {
          let delta = means[local + step * QUADS] - mean;
          mean += delta * (there / (here + there));
          squares += distances[local + step * QUADS] + delta * delta * (here * there / (here + there));
          means[local] = mean;
          distances[local] = squares;
        }
      }
    }
  }

  if (inside && lane == 0u) {
    let at = ((uniforms.first_sample + group.z) * uniforms.all_slabs + uniforms.first_slab + group.y) * 2u * uniforms.quads + quad;
    moments[at] = mean;
    moments[at + uniforms.quads] = squares;
  }
}
