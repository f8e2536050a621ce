/** @file Sum of two tensors of one shape. */
import { defineKernel, expectSameShape, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

export const addNaive = defineKernel({
  name: "add",
  rung: "naive",
  buffers: { a: "read", b: { access: "read", type: "Other" }, y: "write" },
  uniforms: { count: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = Element(f32(a[i]) + f32(b[i]));
    }`,
});

export const addVec4 = defineKernel({
  name: "add",
  rung: "vec4",
  buffers: { a: { access: "read", vec: 4 }, b: { access: "read", type: "Other", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { count: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = Element4(vec4f(a[i]) + vec4f(b[i]));
    }`,
});

/** a + b for two tensors of one shape, summed in f32 and stored in the dtype of a. Throws a ShapeError for two shapes. */
export function add(a: Tensor, b: Tensor): Tensor {
  expectSameShape("add", a, b);
  const y = a.device.empty(a.shape, a.dtype, "add");
  inBands("add", a.size, { a, b, y }, (band, count) => {
    if (count % 4 === 0 && a.device.accepts("add/vec4")) addVec4.launch(band, { count: count / 4 }, perElement(count / 4));
    else addNaive.launch(band, { count }, perElement(count));
  });
  return y;
}
