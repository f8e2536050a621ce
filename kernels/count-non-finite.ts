/** @file The finite-check: counts NaN and infinity by their bits, as compilers may assume that neither exists. */
import { defineKernel, Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";

/**
 * Invocations walk over 32-bit words, each one f32 or two f16 (HALVES); `elements` tells whether the last half word counts.
 * An exponent of all ones is NaN or infinity. The sum is of integers, so the order of the atomics doesn't matter.
 */
export const countNonFiniteKernel = defineKernel({
  name: "count-non-finite",
  buffers: { words: { access: "read", type: "u32" }, counter: { access: "read_write", type: "atomic<u32>" } },
  uniforms: { elements: "u32" },
  flags: { HALVES: false },
  wgsl: /* wgsl */ `
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
    }`,
});

/** Adds the number of NaN and infinite elements of x (f32 or f16, any shape) to counter, a u32 tensor [1]. */
export function countNonFinite(x: Tensor, counter: Tensor): void {
  inBands("countNonFinite", x.size, { x }, (band, elements) => {
    const words = new Tensor(x.device, band.x.allocation, [Math.ceil(band.x.bytes / 4)], "u32", band.x.offset);
    const groups = Math.min(1024, Math.ceil(words.size / 256));
    countNonFiniteKernel.launch({ words, counter }, { elements }, [groups], { flags: { HALVES: x.dtype === "f16" } });
  });
}
