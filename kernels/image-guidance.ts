/** @file Classifier-free guidance by a picture and a prompt (Brooks et al. 2023, InstructPix2Pix, eq. 3). */
import { defineKernel, perElement, ShapeError, type Tensor } from "../engine/index.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element of y. Each of the three parts of `all` has `count` elements. */
export const imageGuidanceKernel = defineKernel({
  name: "image-guidance",
  buffers: { all: "read", y: { access: "write", type: "f32" } },
  uniforms: { count: "u32", by_image: "f32", by_prompt: "f32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      let neither = f32(all[i]);
      let image = f32(all[i + uniforms.count]);
      let both = f32(all[i + 2u * uniforms.count]);
      y[i] = neither + uniforms.by_image * (image - neither) + uniforms.by_prompt * (both - image);
    }`,
});

/**
 * all [3 N, ...]: N predictions without picture and prompt, N with the picture, N with both
 * -> f32 [N, ...] = neither + byImage (image - neither) + byPrompt (both - image). Throws a ShapeError for another batch.
 */
export function imageGuidance(all: Tensor, byImage: number, byPrompt: number): Tensor {
  const batch = all.shape[0] ?? 0;
  if (batch === 0 || batch % 3 !== 0)
    throw new ShapeError(`imageGuidance: the batch must hold threes, but all is [${all.shape.join(", ")}]`);
  const y = all.device.empty([batch / 3, ...all.shape.slice(1)], "f32", "imageGuidance");
  imageGuidanceKernel.launch({ all, y }, { count: y.size, by_image: byImage, by_prompt: byPrompt }, perElement(y.size));
  return y;
}
