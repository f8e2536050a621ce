/** @file Weights for a bench, made on the GPU: nothing is read or sent. */
import { defineKernel, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "../kernels/bands.ts";
import { fillKernel } from "../kernels/fill.ts";
import { flatIndex } from "../kernels/snippets.ts";

/** Evenly spread numbers from a hash of the index (PCG, Jarzynski & Olano 2020). */
const randomFillKernel = defineKernel({
  name: "random-fill",
  buffers: { y: "write" },
  uniforms: { count: "u32", begin: "u32", seed: "u32", amplitude: "f32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      let state = (i + uniforms.begin + uniforms.seed) * 747796405u + 2891336453u;
      let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
      let unit = f32((word >> 22u) ^ word) / 2147483648.0 - 1.0;
      y[i] = Element(unit * uniforms.amplitude);
    }`,
});

/** Overwrites y with numbers of mean 0 and this standard deviation. */
export function randomFill(y: Tensor, deviation: number, seed: number): void {
  const amplitude = Math.sqrt(3) * deviation;
  inBands("random-fill", y.size, { y }, (band, count, begin) =>
    randomFillKernel.launch({ y: band.y }, { count, begin, seed, amplitude }, perElement(count)),
  );
}

/** Overwrites a weight as a model has it: matrices that keep the spread of what goes through them, gains of 1, biases of 0. */
export function fillWeight(weight: Tensor, name: string, seed: number): void {
  if (weight.shape.length > 1) {
    randomFill(weight, 1 / Math.sqrt(weight.size / weight.shape.at(-1)!), seed);
    return;
  }
  const value = name.endsWith(".weight") ? 1 : 0;
  fillKernel.launch({ y: weight }, { count: weight.size, value }, perElement(weight.size));
}
