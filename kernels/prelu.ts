/** @file The rectifier with a learned slope for each channel (He et al. 2015): x, or slope x below 0. */
import { defineKernel, expectShape, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element. */
export const preluNaive = defineKernel({
  name: "prelu",
  rung: "naive",
  buffers: { x: "read", slopes: { access: "read", type: "f32" }, y: "write" },
  uniforms: { rows: "u32", channels: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.channels) { return; }
      let value = f32(x[i]);
      y[i] = Element(select(value, value * slopes[i % uniforms.channels], value < 0.0));
    }`,
});

/** One invocation for four channels; `channels` counts vectors. */
export const preluVec4 = defineKernel({
  name: "prelu",
  rung: "vec4",
  buffers: { x: { access: "read", vec: 4 }, slopes: { access: "read", type: "f32", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { rows: "u32", channels: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.channels) { return; }
      let value = vec4f(x[i]);
      y[i] = Element4(select(value, value * slopes[i % uniforms.channels], value < vec4f()));
    }`,
});

/** x [..., C] with f32 slopes [C] -> [..., C]. Throws a ShapeError for another number of slopes. */
export function prelu(x: Tensor, slopes: Tensor): Tensor {
  const { rows, channels } = expectShape("prelu", x, ["...rows", "channels"]);
  expectShape("prelu", slopes, ["channels"], { sizes: { channels }, hint: "one slope for each channel" });
  const y = x.device.empty(x.shape, x.dtype, "prelu");
  inBands("prelu", rows, { x, y }, (band, rows) => {
    if (channels % 4 === 0 && x.device.accepts("prelu/vec4")) {
      preluVec4.launch({ ...band, slopes }, { rows, channels: channels / 4 }, perElement((rows * channels) / 4));
    } else preluNaive.launch({ ...band, slopes }, { rows, channels }, perElement(rows * channels));
  });
  return y;
}
