/**
 * @file Latents of another size, with the numbers of torch.nn.functional.interpolate (align_corners=False; ATen's UpSample kernels), separable:
 * each new row or column is a weighted sum of old ones.
 */

export interface Interpolation {
  readonly mode: "nearest" | "nearest-exact" | "bilinear" | "bicubic";
  /** The filter is stretched where the latent shrinks, and weights beyond the border are left out instead of being its own. */
  readonly antialias?: boolean;
}

interface Window {
  readonly places: readonly number[];
  readonly weights: readonly number[];
}

interface LatentSize {
  readonly width: number;
  readonly height: number;
}

/** latent [1, h, w, C] -> [1, H, W, C]. */
export function interpolate(latent: Float32Array, from: LatentSize, to: LatentSize, how: Interpolation): Float32Array {
  const channels = latent.length / (from.width * from.height);
  const across = windows(from.width, to.width, how);
  const down = windows(from.height, to.height, how);
  const rows = new Float32Array(from.height * to.width * channels); //  [h, W, C]
  for (let y = 0; y < from.height; y++) {
    for (const [x, { places, weights }] of across.entries()) {
      for (let c = 0; c < channels; c++) {
        const sum = weights.reduce((sum, weight, i) => sum + weight * latent[(y * from.width + places[i]!) * channels + c]!, 0);
        rows[(y * to.width + x) * channels + c] = sum;
      }
    }
  }
  const length = to.width * channels;
  const result = new Float32Array(to.height * length); //               [H, W, C]
  for (const [y, { places, weights }] of down.entries()) {
    for (let i = 0; i < length; i++) {
      result[y * length + i] = weights.reduce((sum, weight, k) => sum + weight * rows[places[k]! * length + i]!, 0);
    }
  }
  return result;
}

/** For each new place, the old ones that it is made of. */
function windows(from: number, to: number, { mode, antialias = false }: Interpolation): Window[] {
  const scale = from / to;
  const rounded = Math.fround(scale);
  return Array.from({ length: to }, (_, i): Window => {
    if (mode === "nearest") return nearest(i * rounded, from);
    if (mode === "nearest-exact") return nearest((i + 0.5) * rounded, from);
    const filter = mode === "bilinear" ? triangle : antialias ? cubic(-0.5) : cubic(-0.75);
    const reach = mode === "bilinear" ? 1 : 2;
    return antialias ? stretched(i, from, scale, reach, filter) : plain(i, from, scale, reach, filter);
  });
}

/** The one old place that a number lies in, rounded to f32 as torch has it, which can take it to the next one. */
function nearest(at: number, from: number): Window {
  return { places: [Math.min(Math.floor(Math.fround(at)), from - 1)], weights: [1] };
}

/** As many old places as the filter is wide; beyond the border stands the border's number. */
function plain(i: number, from: number, scale: number, reach: number, filter: (x: number) => number): Window {
  const at = (i + 0.5) * scale - 0.5;
  const centre = reach === 1 ? Math.max(at, 0) : at;
  const first = Math.floor(centre) - reach + 1;
  const places = Array.from({ length: 2 * reach }, (_, k) => first + k);
  return {
    places: places.map((place) => Math.min(Math.max(place, 0), from - 1)),
    weights: places.map((place) => filter(place - centre)),
  };
}

function stretched(i: number, from: number, scale: number, reach: number, filter: (x: number) => number): Window {
  const stretch = Math.max(scale, 1);
  const centre = (i + 0.5) * scale;
  const first = Math.max(Math.trunc(centre - reach * stretch + 0.5), 0);
  const end = Math.min(Math.trunc(centre + reach * stretch + 0.5), from);
  const places = Array.from({ length: end - first }, (_, k) => first + k);
  const raw = places.map((place) => filter((place - centre + 0.5) / stretch));
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  return { places, weights: raw.map((weight) => weight / total) };
}

function triangle(x: number): number {
  return Math.max(1 - Math.abs(x), 0);
}

/** Keys 1981: torch takes a = -0.75, and -0.5 with antialias. */
function cubic(a: number): (x: number) => number {
  return (x) => {
    const d = Math.abs(x);
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
  };
}
