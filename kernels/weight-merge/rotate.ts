/** @file Blocks of a weight's outputs mixed among themselves, as OFT does (Qiu et al. 2023), or far ones, as BOFT does (Liu et al. 2024). */
import { defineKernel, expectShape, perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";

export const rotateOutputsKernel = defineKernel({
  name: "rotate-outputs",
  buffers: {
    weight: { access: "read", type: "f32" },
    blocks: { access: "read", type: "f32" },
    y: { access: "write", type: "f32" },
  },
  uniforms: { outputs: "u32", inner: "u32", block: "u32", stride: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    // Outputs are taken in pairs that are a stride apart, and the pairs in order: where a place in that order is, and the way back.
    fn output_at(place: u32) -> u32 {
      let pair = place / 2u;
      return (pair / uniforms.stride * 2u + place % 2u) * uniforms.stride + pair % uniforms.stride;
    }
    fn place_of(output: u32) -> u32 {
      let run = output / uniforms.stride;
      return (run / 2u * uniforms.stride + output % uniforms.stride) * 2u + run % 2u;
    }
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.outputs * uniforms.inner) { return; }
      let output = i / uniforms.inner;
      let j = i % uniforms.inner;
      let place = place_of(output);
      let first = place - place % uniforms.block;
      var sum = 0.0;
      for (var n = 0u; n < uniforms.block; n++) {
        sum += blocks[(first + n) * uniforms.block + place - first] * weight[output_at(first + n) * uniforms.inner + j];
      }
      y[i] = sum;
    }`,
});

/**
 * weight f32 [outputs, inner], blocks f32 [outputs / b, b, b] -> y[k b + m] = sum over n of blocks[k, n, m] weight[k b + n].
 * With a stride the outputs are counted in another order: (0, stride), (1, stride + 1), ... and after 2 stride of them from there on;
 * with 1 that is their own.
 * @throws ShapeError where the blocks don't add up to the outputs, or 2 stride doesn't divide them
 */
export function rotateOutputs(weight: Tensor, blocks: Tensor, stride = 1): Tensor {
  const { outputs, inner } = expectShape("rotateOutputs", weight, ["outputs", "inner"]);
  const { count, block } = expectShape("rotateOutputs", blocks, ["count", "block", "block"]);
  if (count * block !== outputs) {
    throw new ShapeError(`rotateOutputs: ${count} blocks of ${block} for a weight of ${outputs} outputs`);
  }
  if (stride !== 1 && outputs % (2 * stride) !== 0) {
    throw new ShapeError(`rotateOutputs: ${outputs} outputs are no pairs ${stride} apart`);
  }
  const y = weight.device.empty([outputs, inner], "f32", "rotated");
  rotateOutputsKernel.launch({ weight, blocks, y }, { outputs, inner, block, stride }, perElement(y.size));
  return y;
}
