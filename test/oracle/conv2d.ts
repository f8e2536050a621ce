/** @file Plain-loop twin of the convolution, in f64: scatters every input number under every window that sees it. */
import { type Activation, activate } from "./matmul.ts";

export interface Conv2dCase {
  readonly x: readonly [samples: number, height: number, width: number, channels: number];
  readonly window: readonly [height: number, width: number];
  readonly outputs: number;
  readonly stride?: 1 | 2;
  readonly padding?: { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };
  readonly upsample?: boolean | { readonly height: number; readonly width: number };
  readonly activation?: Activation;
  /** The map goes round in the place of zeros. */
  readonly wrap?: boolean;
}

export interface Conv2dTerms {
  readonly bias?: ArrayLike<number> | undefined;
  readonly channelAdd?: ArrayLike<number> | undefined;
  readonly residual?: ArrayLike<number> | undefined;
}

export interface Conv2dResult {
  readonly shape: readonly [number, number, number, number];
  readonly values: Float64Array;
}

export function conv2d(x: ArrayLike<number>, weight: ArrayLike<number>, c: Conv2dCase, terms: Conv2dTerms = {}): Conv2dResult {
  const [samples, height, width, channels] = c.x;
  const [windowHeight, windowWidth] = c.window;
  const { top, left, bottom, right } = c.padding ?? { top: 0, left: 0, bottom: 0, right: 0 };
  const stride = c.stride ?? 1;
  const scale = c.upsample ? 2 : 1;
  const [mapHeight, mapWidth] =
    typeof c.upsample === "object" ? [c.upsample.height, c.upsample.width] : [height * scale, width * scale];
  const outHeight = Math.floor((mapHeight + top + bottom - windowHeight) / stride) + 1;
  const outWidth = Math.floor((mapWidth + left + right - windowWidth) / stride) + 1;
  const values = new Float64Array(samples * outHeight * outWidth * c.outputs);
  const at = (n: number, row: number, column: number, o: number) => ((n * outHeight + row) * outWidth + column) * c.outputs + o;
  for (let n = 0; n < samples; n++) {
    // (v, u) walks the doubled map; a window at (row, column) sees it as its tap (v + top - row stride, ...).
    for (const v of places(mapHeight, c.wrap)) {
      for (const u of places(mapWidth, c.wrap)) {
        const [down, right] = [Math.floor(modulo(v, mapHeight) / scale), Math.floor(modulo(u, mapWidth) / scale)];
        const pixel = ((n * height + down) * width + right) * channels;
        for (let dy = 0; dy < windowHeight; dy++) {
          const row = (v + top - dy) / stride;
          if (!Number.isInteger(row) || row < 0 || row >= outHeight) continue;
          for (let dx = 0; dx < windowWidth; dx++) {
            const column = (u + left - dx) / stride;
            if (!Number.isInteger(column) || column < 0 || column >= outWidth) continue;
            for (let i = 0; i < channels; i++) {
              const row0 = ((dy * windowWidth + dx) * channels + i) * c.outputs;
              const value = x[pixel + i]!;
              for (let o = 0; o < c.outputs; o++) {
                const target = at(n, row, column, o);
                values[target] = values[target]! + value * weight[row0 + o]!;
              }
            }
          }
        }
      }
    }
  }
  for (let i = 0; i < values.length; i++) {
    const o = i % c.outputs;
    const n = Math.floor(i / (outHeight * outWidth * c.outputs));
    const sum = values[i]! + (terms.bias?.[o] ?? 0) + (terms.channelAdd?.[n * c.outputs + o] ?? 0);
    values[i] = activate(sum, c.activation ?? "none") + (terms.residual?.[i] ?? 0);
  }
  return { shape: [samples, outHeight, outWidth, c.outputs], values };
}

/** Where the numbers of a row or column of the map stand: once, or again and again on both sides of it. */
function places(size: number, wrap = false): number[] {
  const around = wrap ? 8 : 0;
  return Array.from({ length: size + 2 * around }, (_, i) => i - around);
}

function modulo(value: number, size: number): number {
  return value - size * Math.floor(value / size);
}
