/** @file One number a channel added to every pixel or token: biases, and the timestep in a residual block. */
import { defineKernel, expectShape, perElement, ShapeError, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element. `samples` is 1 where all samples share one vector. */
export const addPerChannelNaive = defineKernel({
  name: "add-per-channel",
  rung: "naive",
  buffers: { x: "read", offsets: { access: "read", type: "Offset" }, y: "write" },
  uniforms: { first_row: "u32", rows: "u32", rows_per_sample: "u32", samples: "u32", channels: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.channels) { return; }
      let c = i % uniforms.channels;
      let n = min((uniforms.first_row + i / uniforms.channels) / uniforms.rows_per_sample, uniforms.samples - 1u);
      y[i] = Element(f32(x[i]) + f32(offsets[n * uniforms.channels + c]));
    }`,
});

/** One invocation for four channels; `channels` counts vectors. */
export const addPerChannelVec4 = defineKernel({
  name: "add-per-channel",
  rung: "vec4",
  buffers: { x: { access: "read", vec: 4 }, offsets: { access: "read", type: "Offset", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { first_row: "u32", rows: "u32", rows_per_sample: "u32", samples: "u32", channels: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.channels) { return; }
      let c = i % uniforms.channels;
      let n = min((uniforms.first_row + i / uniforms.channels) / uniforms.rows_per_sample, uniforms.samples - 1u);
      y[i] = Element4(vec4f(x[i]) + vec4f(offsets[n * uniforms.channels + c]));
    }`,
});

/** x [N, ..., C] + offsets [N, C] (or [C], the same for every sample) -> [N, ..., C]. Throws a ShapeError for other sizes. */
export function addPerChannel(x: Tensor, offsets: Tensor): Tensor {
  const { rows, channels } = expectShape("addPerChannel", x, ["...rows", "channels"]);
  const samples = x.shape[0]!;
  const own = offsets.size === samples * channels;
  if (offsets.shape.at(-1) !== channels || !(own || offsets.size === channels)) {
    throw new ShapeError(
      `addPerChannel: offsets are [${offsets.shape.join(", ")}], but x [${x.shape.join(", ")}] needs [${channels}] or [${samples}, ${channels}]`,
    );
  }
  const y = x.device.empty(x.shape, x.dtype, "addPerChannel");
  inBands("addPerChannel", rows, { x, y }, (band, count, begin) => {
    const uniforms = { first_row: begin, rows: count, rows_per_sample: rows / samples, samples: own ? samples : 1 };
    if (channels % 4 === 0 && x.device.accepts("add-per-channel/vec4")) {
      addPerChannelVec4.launch({ ...band, offsets }, { ...uniforms, channels: channels / 4 }, perElement((count * channels) / 4));
    } else {
      addPerChannelNaive.launch({ ...band, offsets }, { ...uniforms, channels }, perElement(count * channels));
    }
  });
  return y;
}
