/** @file Tensors of one number, and copies. */
import { type Device, type DType, defineKernel, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

export const fillKernel = defineKernel({
  name: "fill",
  buffers: { y: "write" },
  uniforms: { count: "u32", value: "f32" },
  moves: true,
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i < uniforms.count) { y[i] = Element(uniforms.value); }
    }`,
});

/** A new tensor with `value` everywhere (rounded to the nearest; a whole number for u32). */
export function fill(device: Device, shape: readonly number[], value: number, dtype: DType = device.storage): Tensor {
  const y = device.empty(shape, dtype, "fill");
  inBands("fill", y.size, { y }, (band, count) => fillKernel.launch(band, { count, value }, perElement(count)));
  return y;
}

/** A new tensor with the elements of x. */
export function copy(x: Tensor): Tensor {
  const y = x.device.empty(x.shape, x.dtype, "copy");
  x.device.copy(x, y);
  return y;
}
