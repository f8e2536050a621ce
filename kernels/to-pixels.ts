/** @file From the decoder's numbers to bytes: the last kernel before the PNG. */
import { defineKernel, expectShape, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation a pixel. WGSL's round() takes halves to the even neighbour. */
export const toPixelsKernel = defineKernel({
  name: "to-pixels",
  buffers: { x: { access: "read", vec: 4 }, y: { access: "write", type: "u32" } },
  uniforms: { pixels: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.pixels) { return; }
      let rgb = vec3u(round((clamp(vec3f(x[i].xyz), vec3f(-1.0), vec3f(1.0)) + 1.0) * 127.5));
      y[i] = rgb.x | (rgb.y << 8u) | (rgb.z << 16u) | (255u << 24u);
    }`,
});

/**
 * x [N, H, W, 4] with red, green, blue in [-1, 1] and one channel of padding -> u32 [N, H, W]: bytes R, G, B, 255 in memory order,
 * each round((clamp(x, -1, 1) + 1) * 127.5) with halves to even. NaN has no answer: count them first (`countNonFinite`).
 * Throws a ShapeError for another number of channels.
 */
export function toPixels(x: Tensor): Tensor {
  const { n, height, width } = expectShape("toPixels", x, ["n", "height", "width", "channels"], { sizes: { channels: 4 } });
  const y = x.device.empty([n, height, width], "u32", "pixels");
  inBands("toPixels", y.size, { x, y }, (band, pixels) => toPixelsKernel.launch(band, { pixels }, perElement(pixels)));
  return y;
}
