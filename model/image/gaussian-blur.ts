/**
 * @file Gaussian blur as PIL does it, bit for bit (Pillow, src/libImaging/BoxBlur.c): three passes of a box whose ends count in part,
 * along rows and then along columns ("extended box blur", Gwosdek et al. 2011). Edges go on for ever. A blur of any radius costs the
 * same, and what is more than about 3 radii away from an edge does not change.
 */
import { blank, type Raster } from "./raster.ts";

const passes = 3;
const one = 2 ** 24;

/** `radius` is the standard deviation in pixels; 0 gives the raster itself. */
export function gaussianBlur(raster: Raster, radius: number): Raster {
  if (radius <= 0) return raster;
  const { width, height, channels } = raster;
  const result = blank(raster, channels);
  result.data.set(raster.data);
  const reach = boxRadius(radius);
  const line = new Uint8Array(Math.max(width, height));
  const next = new Uint8Array(line.length);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) blurLine(result.data, y * width * channels + c, channels, width, reach, line, next);
    for (let x = 0; x < width; x++) blurLine(result.data, x * channels + c, width * channels, height, reach, line, next);
  }
  return result;
}

/** Radius of the box that has, three times over, this standard deviation. */
function boxRadius(radius: number): number {
  const { fround, sqrt, floor } = Math; // in f32, as the original
  const variance = fround(fround(fround(radius) * fround(radius)) / passes);
  const length = fround(sqrt(12 * variance + 1));
  const whole = floor((length - 1) / 2);
  const part = fround((2 * whole + 1) * fround(whole * (whole + 1) - fround(3 * variance)));
  return fround(whole + fround(part / fround(6 * fround(variance - (whole + 1) ** 2))));
}

/** Blurs the `count` bytes at `begin`, `begin + stride`, ... in place; `line` and `next` are scratch. */
function blurLine(
  data: Uint8Array,
  begin: number,
  stride: number,
  count: number,
  reach: number,
  line: Uint8Array,
  next: Uint8Array,
): void {
  const whole = Math.trunc(reach);
  const weight = Math.trunc(Math.fround(one / Math.fround(reach * 2 + 1))); // a float in the original
  const edgeWeight = Math.trunc((one - (whole * 2 + 1) * weight) / 2);
  const last = count - 1;
  for (let i = 0; i < count; i++) line[i] = data[begin + i * stride]!;
  let [from, to] = [line, next];
  for (let pass = 0; pass < passes; pass++) {
    let sum = 0;
    for (let i = -whole - 1; i < whole; i++) sum += from[Math.min(Math.max(i, 0), last)]!;
    for (let i = 0; i < count; i++) {
      sum += from[Math.min(i + whole, last)]! - from[Math.max(i - whole - 1, 0)]!;
      const edges = from[Math.max(i - whole - 1, 0)]! + from[Math.min(i + whole + 1, last)]!;
      to[i] = Math.floor((sum * weight + edges * edgeWeight + one / 2) / one);
    }
    [from, to] = [to, from];
  }
  for (let i = 0; i < count; i++) data[begin + i * stride] = from[i]!;
}
