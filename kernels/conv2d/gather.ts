/**
 * @file Where a convolution's numbers lie. Row r of the gathered matrix is output pixel r; its inner numbers are the taps of the
 * kernel window in row-major order, and within a tap the channels: the order of the weights [KH, KW, C, O].
 */
import { defineSnippet } from "../../engine/index.ts";
import { epilogueUniforms } from "../matmul/epilogue.ts";

/** What a launch of any rung knows of the convolution. A launch covers all pixels, or a band of rows of one sample. */
export const convolutionUniforms = {
  /** Pixels of the output in this launch. */
  rows: "u32",
  out_width: "u32",
  /** Output pixels of one sample in this launch. */
  sample_pixels: "u32",
  first_sample: "u32",
  /** First output row of the launch, and first input row that is bound. */
  first_row: "u32",
  first_input_row: "u32",
  /** Input rows that are bound, and columns of the input. */
  input_rows: "u32",
  width: "u32",
  /** Rows and columns of the map that the window slides over. */
  map_height: "u32",
  map_width: "u32",
  kernel_height: "u32",
  kernel_width: "u32",
  stride: "u32",
  top: "u32",
  left: "u32",
  /** 1 where every input pixel stands for 2 x 2: the window then slides over the doubled map. */
  upsample: "u32",
  ...epilogueUniforms,
} as const;

/** Flag of every rung: the map goes round, its last row and column are followed by its first. */
export const convolutionFlags = { WRAP: false } as const;

/** `wrapped(i, size)`: i brought into 0..size - 1 where the map goes round (flag WRAP). */
export const wrapped = defineSnippet({
  name: "wrapped",
  wgsl: /* wgsl */ `
    fn wrapped(i: i32, size: u32) -> i32 {
      if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
      return i;
    }
    fn wrapped4(i: vec4i, size: u32) -> vec4i {
      if (WRAP) { return (i % i32(size) + i32(size)) % i32(size); }
      return i;
    }`,
});

/**
 * Four output pixels at once. `find_pixels(rows)` says which they are; `input_pixels(pixels, dy, dx)` gives the index of the input
 * pixel under tap (dy, dx) of each, or OUTSIDE where the window hangs over the border, whose numbers are zeros.
 */
export const gather = defineSnippet({
  name: "gather",
  needs: [wrapped],
  wgsl: /* wgsl */ `
    const OUTSIDE = 0xffffffffu;

    struct Pixels { sample: vec4u, top: vec4i, left: vec4i }

    fn sample_of(row: u32) -> u32 { return uniforms.first_sample + row / uniforms.sample_pixels; }

    // Rows past the end stand for the last one: they are computed, but not stored.
    fn find_pixels(rows: vec4u) -> Pixels {
      let row = min(rows, vec4u(uniforms.rows - 1u));
      let sample = row / uniforms.sample_pixels;
      let pixel = row - sample * uniforms.sample_pixels;
      let down = pixel / uniforms.out_width;
      let right = pixel - down * uniforms.out_width;
      return Pixels(
        sample,
        vec4i((down + uniforms.first_row) * uniforms.stride) - i32(uniforms.top),
        vec4i(right * uniforms.stride) - i32(uniforms.left),
      );
    }

    fn input_pixels(pixels: Pixels, dy: u32, dx: u32) -> vec4u {
      // A row or column before the first becomes a huge number, so one comparison finds both borders.
      let down = vec4u(wrapped4(pixels.top + i32(dy), uniforms.map_height));
      let right = vec4u(wrapped4(pixels.left + i32(dx), uniforms.map_width));
      let inside = (down < vec4u(uniforms.map_height)) & (right < vec4u(uniforms.map_width));
      let input_row = pixels.sample * uniforms.input_rows + (down >> vec4u(uniforms.upsample)) - uniforms.first_input_row;
      return select(vec4u(OUTSIDE), input_row * uniforms.width + (right >> vec4u(uniforms.upsample)), inside);
    }`,
});
