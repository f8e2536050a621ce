/** @file Classifier-free guidance that keeps the spread of the conditional prediction (Lin et al. 2024, eq. 15 and 16). */
import { defineKernel, ShapeError, type Tensor } from "../engine/index.ts";

/**
 * One workgroup an image, in three walks over it: means of c and g, their squared distances from these, the result. The unconditional
 * predictions u come first in `both`; g = u + strength (c - u). WORKGROUP_SIZE is a power of two.
 */
export const rescaledGuidanceKernel = defineKernel({
  name: "rescaled-guidance",
  buffers: { both: "read", y: { access: "write", type: "f32" } },
  uniforms: { count: "u32", images: "u32", strength: "f32", rescale: "f32" },
  wgsl: /* wgsl */ `
    var<workgroup> parts: array<vec2f, WORKGROUP_SIZE>;

    // Sum of one pair of each invocation, the same in all of them.
    fn workgroup_sum(lane: u32, part: vec2f) -> vec2f {
      workgroupBarrier();
      parts[lane] = part;
      for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { parts[lane] += parts[lane + half]; }
      }
      workgroupBarrier();
      return parts[0];
    }

    // The conditional prediction c and the guided one, g, of one element.
    fn predictions(i: u32) -> vec2f {
      let u = f32(both[i]);
      let c = f32(both[i + uniforms.images * uniforms.count]);
      return vec2f(c, u + uniforms.strength * (c - u));
    }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
      let first = group.x * uniforms.count;

      var sum = vec2f();
      for (var i = lane; i < uniforms.count; i += WORKGROUP_SIZE) { sum += predictions(first + i); }
      let mean = workgroup_sum(lane, sum) / f32(uniforms.count);

      var squares = vec2f();
      for (var i = lane; i < uniforms.count; i += WORKGROUP_SIZE) {
        let distance = predictions(first + i) - mean;
        squares += distance * distance;
      }
      let spread = workgroup_sum(lane, squares);
      var factor = 1.0;
      if (spread.y > 0.0) { factor = 1.0 + uniforms.rescale * (sqrt(spread.x / spread.y) - 1.0); }

      for (var i = lane; i < uniforms.count; i += WORKGROUP_SIZE) { y[first + i] = factor * predictions(first + i).y; }
    }`,
});

/**
 * both [2 N, ...], the N unconditional predictions u first -> f32 [N, ...]. With g = u + strength (c - u) it gives
 * rescale g std(c)/std(g) + (1 - rescale) g, each deviation over one image. Throws a ShapeError for an odd batch.
 */
export function rescaledGuidance(both: Tensor, strength: number, rescale: number): Tensor {
  const batch = both.shape[0] ?? 0;
  if (batch === 0 || batch % 2 !== 0)
    throw new ShapeError(`rescaledGuidance: the batch must hold pairs, but both is [${both.shape.join(", ")}]`);
  const images = batch / 2;
  const y = both.device.empty([images, ...both.shape.slice(1)], "f32", "rescaledGuidance");
  rescaledGuidanceKernel.launch({ both, y }, { count: y.size / images, images, strength, rescale }, [images]);
  return y;
}
