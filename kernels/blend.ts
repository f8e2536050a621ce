/** @file Two tensors mixed by a third: where inpainting keeps what is known. */
import { defineKernel, expectSameShape, perElement, type Tensor } from "../engine/index.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element of y. The choice at 0 and 1 is exact, whatever the other side holds. */
export const blendKernel = defineKernel({
  name: "blend",
  buffers: { a: "read", b: "read", mask: { access: "read", type: "f32" }, y: "write" },
  uniforms: { count: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      let share = mask[i];
      if (share >= 1.0) { y[i] = a[i]; }
      else if (share <= 0.0) { y[i] = b[i]; }
      else { y[i] = Element(share * f32(a[i]) + (1.0 - share) * f32(b[i])); }
    }`,
});

/** mask a + (1 - mask) b, all of one shape; the mask is f32. Throws a ShapeError for other shapes. */
export function blend(a: Tensor, b: Tensor, mask: Tensor): Tensor {
  expectSameShape("blend", a, b);
  expectSameShape("blend", a, mask);
  const y = a.device.empty(a.shape, a.dtype, "blend");
  blendKernel.launch({ a, b, mask, y }, { count: y.size }, perElement(y.size));
  return y;
}
