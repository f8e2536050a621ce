/** @file Classifier-free guidance (Ho and Salimans 2022): two predictions of one batch become one. */
import { defineKernel, perElement, ShapeError, type Tensor } from "../engine/index.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element of y. The second half of `both` begins at `count`. */
export const guidanceKernel = defineKernel({
  name: "guidance",
  buffers: { both: "read", y: { access: "write", type: "f32" } },
  uniforms: { count: "u32", strength: "f32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      let unconditional = f32(both[i]);
      let conditional = f32(both[i + uniforms.count]);
      y[i] = unconditional + uniforms.strength * (conditional - unconditional);
    }`,
});

/**
 * both [2 N, ...], the N unconditional predictions first -> f32 [N, ...] = uncond + strength * (cond - uncond).
 * Throws a ShapeError for an odd batch.
 */
export function guidance(both: Tensor, strength: number): Tensor {
  const batch = both.shape[0] ?? 0;
  if (batch === 0 || batch % 2 !== 0)
    throw new ShapeError(`guidance: the batch must hold pairs, but both is [${both.shape.join(", ")}]`);
  const y = both.device.empty([batch / 2, ...both.shape.slice(1)], "f32", "guidance");
  guidanceKernel.launch({ both, y }, { count: y.size, strength }, perElement(y.size));
  return y;
}
