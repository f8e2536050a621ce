/** @file Plain-loop twin of the matrix product, in f64. */

export type Activation = "none" | "silu" | "gelu" | "quick_gelu" | "leaky_relu";

export interface MatmulCase {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly transposed?: boolean;
  readonly bias?: ArrayLike<number> | undefined;
  readonly residual?: ArrayLike<number> | undefined;
  readonly activation?: Activation;
}

export function matmul(x: ArrayLike<number>, weight: ArrayLike<number>, c: MatmulCase): Float64Array {
  const y = new Float64Array(c.rows * c.columns);
  for (let r = 0; r < c.rows; r++) {
    for (let n = 0; n < c.columns; n++) {
      let sum = 0;
      for (let k = 0; k < c.inner; k++) sum += x[r * c.inner + k]! * weight[c.transposed ? n * c.inner + k : k * c.columns + n]!;
      sum = activate(sum + (c.bias?.[n] ?? 0), c.activation ?? "none");
      y[r * c.columns + n] = sum + (c.residual?.[r * c.columns + n] ?? 0);
    }
  }
  return y;
}

export function activate(v: number, name: Activation): number {
  if (name === "silu") return v / (1 + Math.exp(-v));
  if (name === "quick_gelu") return v / (1 + Math.exp(-1.702 * v));
  if (name === "leaky_relu") return v < 0 ? v / 5 : v;
  if (name === "gelu") return v * normalCdf(v);
  return v;
}

/** Phi(v) by Simpson's rule on the density from 0 to |v|, 400 intervals: error below 1e-12. */
function normalCdf(v: number): number {
  const end = Math.min(Math.abs(v), 9);
  const intervals = 400;
  const h = end / intervals;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let area = density(0) + density(end);
  for (let i = 1; i < intervals; i++) area += density(i * h) * (i % 2 === 1 ? 4 : 2);
  area *= h / 3;
  return v >= 0 ? 0.5 + area : 0.5 - area;
}
