/** @file Plain-loop twins of the element-by-element kernels, in f64. */

/** erf by its Maclaurin series (small x) or the continued fraction of erfc (large x); within 1e-14. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-18; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 80; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (a + fraction) / Math.sqrt(Math.PI));
}

export const activations = {
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu: (x: number) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  quick_gelu: (x: number) => x / (1 + Math.exp(-1.702 * x)),
  leaky_relu: (x: number) => (x < 0 ? x / 5 : x),
};

/** `slopes` has one number for each channel. */
export function prelu(x: Float32Array, slopes: Float32Array): Float64Array {
  return Float64Array.from(x, (value, i) => (value < 0 ? value * slopes[i % slopes.length]! : value));
}

export function geglu(x: Float32Array, rows: number, width: number): Float64Array {
  const y = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++)
    for (let c = 0; c < width; c++)
      y[row * width + c] = x[row * 2 * width + c]! * activations.gelu(x[row * 2 * width + width + c]!);
  return y;
}

export function concat(a: Float32Array, b: Float32Array, rows: number): Float64Array {
  const widthA = a.length / rows;
  const widthB = b.length / rows;
  const y: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < widthA; c++) y.push(a[row * widthA + c]!);
    for (let c = 0; c < widthB; c++) y.push(b[row * widthB + c]!);
  }
  return Float64Array.from(y);
}

/** The byte of a colour in [-1, 1], halves to even. */
export function toByte(value: number): number {
  const exact = (Math.min(1, Math.max(-1, value)) + 1) * 127.5;
  const floor = Math.floor(exact);
  if (exact - floor === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return Math.round(exact);
}
