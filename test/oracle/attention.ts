/** @file Attention in plain loops over f64: all scores of a query, their softmax, the weighted sum. */

export interface AttentionCase {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly headDim: number;
  readonly causal?: boolean;
  readonly scale?: number;
}

/** Rows of `width` numbers, of which a head's begin at `column` + head * headDim. */
export interface Operand {
  readonly values: ArrayLike<number>;
  readonly width: number;
  readonly column: number;
}

export function attentionOracle(q: Operand, k: Operand, v: Operand, c: AttentionCase): Float64Array {
  const result = new Float64Array(c.batch * c.queries * c.heads * c.headDim);
  const scale = c.scale ?? c.headDim ** -0.5;
  const read = (x: Operand, row: number, head: number, d: number) => x.values[row * x.width + x.column + head * c.headDim + d]!;
  for (let n = 0; n < c.batch; n++) {
    for (let head = 0; head < c.heads; head++) {
      for (let t = 0; t < c.queries; t++) {
        const scores: number[] = [];
        for (let s = 0; s < (c.causal ? t + 1 : c.keys); s++) {
          let dot = 0;
          for (let d = 0; d < c.headDim; d++) dot += read(q, n * c.queries + t, head, d) * read(k, n * c.keys + s, head, d);
          scores.push(dot * scale);
        }
        const top = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - top));
        const total = weights.reduce((a, b) => a + b, 0);
        for (let d = 0; d < c.headDim; d++) {
          let sum = 0;
          for (const [s, weight] of weights.entries()) sum += weight * read(v, n * c.keys + s, head, d);
          result[((n * c.queries + t) * c.heads + head) * c.headDim + d] = sum / total;
        }
      }
    }
  }
  return result;
}
