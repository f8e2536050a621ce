const HALVES = false;
const WORKGROUP_SIZE = 64u;
struct Uniforms { elements: u32 }
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> counter: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  var found = 0u;
  let stride = grid.x * WORKGROUP_SIZE;
  if (HALVES) {
    for (var i = id.x; 2u * i < uniforms.elements; i += stride) {
      let word = words[i];
      found += u32((word & 0x7c00u) == 0x7c00u);
      found += u32((word & 0x7c000000u) == 0x7c000000u && 2u * i + 1u < uniforms.elements);
    }
  } else {
    for (var i = id.x; i < uniforms.elements; i += stride) {
      found += u32((words[i] & 0x7fffffffu) >= 0x7f800000u);
    }
  }
  if (found > 0u) { atomicAdd(&counter[0], found); }
}
