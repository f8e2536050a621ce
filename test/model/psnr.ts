/** Peak signal-to-noise ratio of two pictures of bytes, in dB; infinite where they are equal. */
export function psnr(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return 10 * Math.log10(255 ** 2 / (squares / a.length));
}

/** RGBA without A. */
export function rgb(pixels: ArrayLike<number>): Uint8Array {
  return Uint8Array.from({ length: (pixels.length / 4) * 3 }, (_, i) => pixels[Math.floor(i / 3) * 4 + (i % 3)]!);
}
