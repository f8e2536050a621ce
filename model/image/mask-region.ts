/** @file Which part of a picture a mask asks for: the A1111 web UI's "only masked" (modules/masking.py). */
import type { Box, Raster, Size } from "./raster.ts";

/** The least box with every pixel of the mask above 0, `padding` wider on all sides, inside the mask; undefined for an empty mask. */
export function maskedRegion(mask: Raster, padding: number): Box | undefined {
  const { width, height, data } = mask;
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] === 0) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    }
  }
  if (right <= left) return undefined;
  [left, top] = [Math.max(left - padding, 0), Math.max(top - padding, 0)];
  [right, bottom] = [Math.min(right + padding, width), Math.min(bottom + padding, height)];
  return { left, top, width: right - left, height: bottom - top };
}

/** The box grown to the proportions of `target`, as far as the picture goes. */
export function grownTo(box: Box, target: Size, picture: Size): Box {
  if (box.width * target.height > target.width * box.height) {
    const { begin, length } = grown(box.top, box.height, Math.trunc((box.width * target.height) / target.width), picture.height);
    return { ...box, top: begin, height: length };
  }
  const { begin, length } = grown(box.left, box.width, Math.trunc((box.height * target.width) / target.height), picture.width);
  return { ...box, left: begin, width: length };
}

/** An interval lengthened to `wanted` about its middle, pushed back inside 0..limit. */
function grown(begin: number, length: number, wanted: number, limit: number): { begin: number; length: number } {
  const first = begin - Math.floor((wanted - length) / 2);
  const pushed = Math.max(Math.min(first, limit - wanted), 0);
  return { begin: pushed, length: Math.min(wanted, limit) };
}
