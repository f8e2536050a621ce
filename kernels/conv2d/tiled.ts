/** @file Convolution, the rung for GPUs: the tiled product with gathered rows. Channels and outputs are multiples of 4. */
import { defineKernel, defineSnippet } from "../../engine/index.ts";
import { epilogue, epilogueBuffers } from "../matmul/epilogue.ts";
import { sliceUniforms, tiledProduct, tileSlice, wholeTile } from "../matmul/tile.ts";
import { convolutionFlags, convolutionUniforms, gather } from "./gather.ts";

const gatheredRows = defineSnippet({
  name: "gathered_rows",
  needs: [gather],
  wgsl: /* wgsl */ `
    struct Rows { pixels: Pixels }

    fn find_rows(first: u32) -> Rows {
      return Rows(find_pixels(vec4u(first) + vec4u(0u, 1u, 2u, 3u)));
    }

    fn load_rows(rows: Rows, quad: u32) -> mat4x4f {
      let tap = quad / uniforms.channel_quads;
      let place = input_pixels(rows.pixels, tap / uniforms.kernel_width, tap % uniforms.kernel_width);
      let channel = quad - tap * uniforms.channel_quads;
      return mat4x4f(load(place.x, channel), load(place.y, channel), load(place.z, channel), load(place.w, channel));
    }

    fn load(pixel: u32, channel: u32) -> vec4f {
      if (pixel == OUTSIDE) { return vec4f(); }
      return vec4f(x[pixel * uniforms.channel_quads + channel]);
    }`,
});

/** x [N, H, W, channels] under weight [KH, KW, channels, columns] -> y [N, H', W', columns], all read as vectors of four. */
export const conv2dTiled = defineKernel({
  name: "conv2d",
  rung: "tiled",
  buffers: {
    x: { access: "read", vec: 4 },
    weight: { access: "read", type: "Weight", vec: 4 },
    y: { access: "write", vec: 4 },
    ...epilogueBuffers,
  },
  uniforms: { ...convolutionUniforms, channel_quads: "u32", inner_quads: "u32", quads: "u32", eight: "u32" },
  flags: convolutionFlags,
  tunables: { ACTIVATION: 0 },
  snippets: [epilogue, gatheredRows, tiledProduct, wholeTile],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) local: u32,
    ) {
      tiled_product(group, groups, local);
    }`,
});

/** The same for a slice of the inner numbers each workgroup: sums only, see tileSlice. */
export const conv2dTiledSlab = defineKernel({
  name: "conv2d",
  rung: "tiled-slab",
  buffers: {
    x: { access: "read", vec: 4 },
    weight: { access: "read", type: "Weight", vec: 4 },
    slabs: { access: "write", type: "f32", vec: 4 },
  },
  uniforms: { ...convolutionUniforms, channel_quads: "u32", inner_quads: "u32", quads: "u32", ...sliceUniforms },
  flags: convolutionFlags,
  tunables: { ACTIVATION: 0 },
  snippets: [gatheredRows, tiledProduct, tileSlice],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(
      @builtin(workgroup_id) group: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) local: u32,
    ) {
      tiled_product(group, groups, local);
    }`,
});
