/** @file Maps that go round, in tiles: what lies beyond an edge is put around the map before, and cut off again after. */
import type { Size } from "../image/index.ts";

type Values = Float32Array | Uint8Array;

/** [height, width, channels] -> [height + 2 margin, width + 2 margin, channels], continued by its opposite edges. */
export function withMargin<T extends Values>(values: T, { width, height }: Size, margin: number): T {
  if (margin === 0) return values;
  const channels = values.length / (width * height);
  const wide = width + 2 * margin;
  const around = new (values.constructor as new (length: number) => T)(wide * (height + 2 * margin) * channels);
  for (let y = 0; y < height + 2 * margin; y++) {
    const row = modulo(y - margin, height) * width;
    for (let x = 0; x < wide; x++) {
      const from = (row + modulo(x - margin, width)) * channels;
      for (let c = 0; c < channels; c++) around[(y * wide + x) * channels + c] = values[from + c]!;
    }
  }
  return around;
}

/** The middle of it, of this size. */
export function withoutMargin(values: Float32Array, { width, height }: Size, margin: number): Float32Array {
  if (margin === 0) return values;
  const wide = width + 2 * margin;
  const channels = values.length / (wide * (height + 2 * margin));
  const result = new Float32Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const begin = ((y + margin) * wide + margin) * channels;
    result.set(values.subarray(begin, begin + width * channels), y * width * channels);
  }
  return result;
}

/** Which place of the map a place of the one with the margin is, both counted row by row. */
export function placeWithin(place: number, { width, height }: Size, margin: number): number {
  if (margin === 0) return place;
  const wide = width + 2 * margin;
  return modulo(Math.floor(place / wide) - margin, height) * width + modulo((place % wide) - margin, width);
}

function modulo(value: number, size: number): number {
  return value - size * Math.floor(value / size);
}
