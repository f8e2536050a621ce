/** @file How far two pictures are apart. */

export interface Difference {
  /** 0..255, of any channel of any pixel. */
  readonly largest: number;
  /** Channels of pixels that differ by more than the tolerance. */
  readonly beyond: number;
  /** 10 log10(255^2 / mean square), dB; Infinity where nothing differs. */
  readonly psnr: number;
}

/** a, b: RGB, of one size. */
export function difference(a: Uint8Array, b: Uint8Array, tolerance: number): Difference {
  if (a.length !== b.length) throw new RangeError(`difference: ${a.length} and ${b.length} bytes`);
  let [largest, beyond, squares] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const apart = Math.abs(a[i]! - b[i]!);
    largest = Math.max(largest, apart);
    if (apart > tolerance) beyond++;
    squares += apart * apart;
  }
  return { largest, beyond, psnr: squares === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10((255 * 255 * a.length) / squares) };
}
