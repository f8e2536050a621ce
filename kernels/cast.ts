/** @file Conversion between f32 and f16 storage. */
import { type DType, defineKernel, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

export const castNaive = defineKernel({
  name: "cast",
  rung: "naive",
  buffers: { x: { access: "read", type: "From" }, y: { access: "write", type: "To" } },
  uniforms: { count: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = To(x[i]);
    }`,
});

export const castVec4 = defineKernel({
  name: "cast",
  rung: "vec4",
  buffers: { x: { access: "read", type: "From", vec: 4 }, y: { access: "write", type: "To", vec: 4 } },
  uniforms: { count: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = To4(x[i]);
    }`,
});

/** x in another storage type, rounded to the nearest; x itself where it has that type already. f16 ends at 65504. */
export function cast(x: Tensor, dtype: Exclude<DType, "u32">): Tensor {
  if (x.dtype === dtype) return x;
  const y = x.device.empty(x.shape, dtype, "cast");
  inBands("cast", x.size, { x, y }, (band, count) => {
    if (count % 4 === 0 && x.device.accepts("cast/vec4")) castVec4.launch(band, { count: count / 4 }, perElement(count / 4));
    else castNaive.launch(band, { count }, perElement(count));
  });
  return y;
}
