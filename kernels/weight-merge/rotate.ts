/** @file Blocks of a weight's outputs mixed among themselves, as OFT does (Qiu et al. 2023). */
import { defineKernel, expectShape, perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";

export const rotateOutputsKernel = defineKernel({
  name: "rotate-outputs",
  buffers: {
    weight: { access: "read", type: "f32" },
    blocks: { access: "read", type: "f32" },
    y: { access: "write", type: "f32" },
  },
  uniforms: { outputs: "u32", inner: "u32", block: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.outputs * uniforms.inner) { return; }
      let output = i / uniforms.inner;
      let j = i % uniforms.inner;
      let first = output - output % uniforms.block;
      var sum = 0.0;
      for (var n = 0u; n < uniforms.block; n++) {
        sum += blocks[(first + n) * uniforms.block + output - first] * weight[(first + n) * uniforms.inner + j];
      }
      y[i] = sum;
    }`,
});

/**
 * weight f32 [outputs, inner], blocks f32 [outputs / b, b, b] -> y[k b + m] = sum over n of blocks[k, n, m] weight[k b + n].
 * Throws a ShapeError where the blocks don't add up to the outputs.
 */
export function rotateOutputs(weight: Tensor, blocks: Tensor): Tensor {
  const { outputs, inner } = expectShape("rotateOutputs", weight, ["outputs", "inner"]);
  const { count, block } = expectShape("rotateOutputs", blocks, ["count", "block", "block"]);
  if (count * block !== outputs) {
    throw new ShapeError(`rotateOutputs: ${count} blocks of ${block} for a weight of ${outputs} outputs`);
  }
  const y = weight.device.empty([outputs, inner], "f32", "rotated");
  rotateOutputsKernel.launch({ weight, blocks, y }, { outputs, inner, block }, perElement(y.size));
  return y;
}
