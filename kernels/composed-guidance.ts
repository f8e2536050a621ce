/** @file Classifier-free guidance by several prompts at once (Liu et al. 2022, Compositional Visual Generation, eq. 12): the word AND. */
import { defineKernel, perElement, ShapeError, type Tensor } from "../engine/index.ts";
import { flatIndex } from "./snippets.ts";

/** Most prompts joined at once. */
export const maxComposed = 8;

/** One invocation an element of y. Each of the PARTS + 1 predictions in `all` has `count` elements. */
export const composedGuidanceKernel = defineKernel({
  name: "composed-guidance",
  buffers: { all: "read", y: { access: "write", type: "f32" } },
  uniforms: { count: "u32", s0: "f32", s1: "f32", s2: "f32", s3: "f32", s4: "f32", s5: "f32", s6: "f32", s7: "f32" },
  tunables: { PARTS: 1 },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      let strengths = array<f32, 8>(uniforms.s0, uniforms.s1, uniforms.s2, uniforms.s3,
                                    uniforms.s4, uniforms.s5, uniforms.s6, uniforms.s7);
      let unconditional = f32(all[i]);
      var sum = unconditional;
      for (var part = 0u; part < PARTS; part++) {
        sum += strengths[part] * (f32(all[i + (part + 1u) * uniforms.count]) - unconditional);
      }
      y[i] = sum;
    }`,
});

/**
 * all [1 + P, ...], the unconditional prediction first -> f32 [1, ...] = uncond + sum of strengths[p] (cond_p - uncond), for 1 to 8
 * prompts. Throws a ShapeError for another batch.
 */
export function composedGuidance(all: Tensor, strengths: readonly number[]): Tensor {
  const parts = strengths.length;
  if (parts < 1 || parts > maxComposed || all.shape[0] !== parts + 1) {
    throw new ShapeError(
      `composedGuidance: takes 1 to ${maxComposed} strengths s and a batch of s + 1, got ${parts} and [${all.shape.join(", ")}]`,
    );
  }
  const y = all.device.empty([1, ...all.shape.slice(1)], "f32", "guidance");
  const [s0, s1, s2, s3, s4, s5, s6, s7] = Array.from({ length: maxComposed }, (_, p) => strengths[p] ?? 0) as Eight;
  composedGuidanceKernel.launch({ all, y }, { count: y.size, s0, s1, s2, s3, s4, s5, s6, s7 }, perElement(y.size), {
    tunables: { PARTS: parts },
  });
  return y;
}

type Eight = [number, number, number, number, number, number, number, number];
