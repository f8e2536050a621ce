/**
 * @file Resizing as PIL does it, bit for bit (Pillow, src/libImaging/Resample.c): separable, the filter stretched by the scale when it
 * shrinks, weights in 22-bit fixed point, 8 bits between the two passes.
 */
import { blank, type Raster, type Size } from "./raster.ts";

interface Filter {
  /** Half its width, in pixels of the larger grid. */
  readonly support: number;
  weight(x: number): number;
}

const lanczos: Filter = { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) };

/** Keys 1981 with a = -1/2. */
const bicubic: Filter = {
  support: 2,
  weight(x) {
    const d = Math.abs(x);
    if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
    return d < 2 ? -0.5 * (((d - 5) * d + 8) * d - 4) : 0;
  },
};

const filters = { lanczos, bicubic } as const;
const one = 2 ** 22;

/** A raster of another size; the same one where nothing changes. */
export function resize(raster: Raster, { width, height }: Size, filter: keyof typeof filters = "lanczos"): Raster {
  const across = width === raster.width ? raster : horizontally(raster, width, filters[filter]);
  return height === raster.height ? across : vertically(across, height, filters[filter]);
}

/** The pixel at floor(x from / to): torch.nn.functional.interpolate's "nearest". */
export function resizeNearest(raster: Raster, { width, height }: Size): Raster {
  const { channels, data } = raster;
  const result = blank({ width, height }, channels);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * raster.height) / height) * raster.width;
    for (let x = 0; x < width; x++) {
      const from = (row + Math.floor((x * raster.width) / width)) * channels;
      for (let c = 0; c < channels; c++) result.data[(y * width + x) * channels + c] = data[from + c]!;
    }
  }
  return result;
}

function horizontally(raster: Raster, width: number, filter: Filter): Raster {
  const { height, channels, data } = raster;
  const result = blank({ width, height }, channels);
  for (const [x, { first, weights }] of windows(raster.width, width, filter).entries()) {
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < channels; c++) {
        let sum = one / 2;
        for (let i = 0; i < weights.length; i++) sum += weights[i]! * data[(y * raster.width + first + i) * channels + c]!;
        result.data[(y * width + x) * channels + c] = clip(sum);
      }
    }
  }
  return result;
}

function vertically(raster: Raster, height: number, filter: Filter): Raster {
  const { width, channels, data } = raster;
  const result = blank({ width, height }, channels);
  const row = width * channels;
  for (const [y, { first, weights }] of windows(raster.height, height, filter).entries()) {
    for (let i = 0; i < row; i++) {
      let sum = one / 2;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * data[(first + k) * row + i]!;
      result.data[y * row + i] = clip(sum);
    }
  }
  return result;
}

interface Window {
  readonly first: number;
  readonly weights: readonly number[];
}

/** For each new pixel, which old ones it is made of and with which weights, in units of 2^-22. */
function windows(from: number, to: number, { support, weight }: Filter): Window[] {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), from);
    const raw = Array.from({ length: end - first }, (_, k) => weight((first + k - centre + 0.5) * (1 / stretch)));
    const total = raw.reduce((sum, value) => sum + value, 0);
    const fixed = raw.map((value) => Math.trunc((total === 0 ? value : value / total) * one + (value < 0 ? -0.5 : 0.5)));
    return { first, weights: fixed };
  });
}

function clip(sum: number): number {
  return Math.min(Math.max(Math.floor(sum / one), 0), 255);
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
