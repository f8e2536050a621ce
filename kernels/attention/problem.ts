/** @file What the rungs of attention are asked to do: sizes and places, checked once. */
import { expectShape, ShapeError, type Tensor } from "../../engine/index.ts";

export interface AttentionOptions {
  readonly heads: number;
  /** Columns of one head in q, k, v and the result. */
  readonly headDim: number;
  /** Query i sees keys 0 to i only. */
  readonly causal?: boolean;
  /** Factor of the scores, 1 / sqrt(headDim) unless given. */
  readonly scale?: number;
  /** First column of each operand in its rows (0 unless given), so that one fused q | k | v tensor can be passed three times. */
  readonly columns?: { readonly q?: number; readonly k?: number; readonly v?: number };
}

/** The uniforms of every rung, in elements. */
export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly head_dim: number;
  readonly queries: number;
  readonly keys: number;
  readonly q_width: number;
  readonly k_width: number;
  readonly v_width: number;
  readonly q_column: number;
  readonly k_column: number;
  readonly v_column: number;
  readonly causal: number;
  readonly scale: number;
}

/** One attention, checked. A rung takes it and returns a new tensor [batch, queries, heads * head_dim]. */
export interface AttentionProblem {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly sizes: AttentionSizes;
}

/** How rungs declare `AttentionSizes`. */
export const attentionUniforms = {
  batch: "u32",
  heads: "u32",
  head_dim: "u32",
  queries: "u32",
  keys: "u32",
  q_width: "u32",
  k_width: "u32",
  v_width: "u32",
  q_column: "u32",
  k_column: "u32",
  v_column: "u32",
  causal: "u32",
  scale: "f32",
} as const;

/** Checks q [N, T, wq], k [N, S, wk], v [N, S, wv] against the options. @throws ShapeError */
export function attentionProblem(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): AttentionProblem {
  const { heads, headDim, causal = false, columns = {} } = options;
  if (!Number.isInteger(heads) || !Number.isInteger(headDim) || heads < 1 || headDim < 1)
    throw new ShapeError(`attention: ${heads} heads of width ${headDim}: both must be whole numbers above 0`);
  const { batch, queries, width: qWidth } = expectShape("attention q", q, ["batch", "queries", "width"]);
  const { keys, width: kWidth } = expectShape("attention k", k, ["batch", "keys", "width"], { sizes: { batch } });
  const { width: vWidth } = expectShape("attention v", v, ["batch", "keys", "width"], { sizes: { batch, keys } });
  if (queries < 1 || keys < 1) throw new ShapeError(`attention: ${queries} queries and ${keys} keys: both must be above 0`);
  if (causal && queries !== keys)
    throw new ShapeError(`attention: causal needs as many keys as queries, got ${queries} queries and ${keys} keys`);
  const first = { q: columns.q ?? 0, k: columns.k ?? 0, v: columns.v ?? 0 };
  for (const [name, column, width] of [
    ["q", first.q, qWidth],
    ["k", first.k, kWidth],
    ["v", first.v, vWidth],
  ] as const) {
    if (!Number.isInteger(column) || column < 0 || column + heads * headDim > width)
      throw new ShapeError(
        `attention: ${heads} heads of ${headDim} from column ${column} end at ${column + heads * headDim}, rows of ${name} have ${width}`,
      );
  }
  if (k.dtype !== q.dtype || v.dtype !== q.dtype)
    throw new ShapeError(`attention: q is ${q.dtype}, k ${k.dtype}, v ${v.dtype}: all must have one dtype`, {
      hint: "cast() the others",
    });
  return {
    q,
    k,
    v,
    sizes: {
      batch,
      heads,
      head_dim: headDim,
      queries,
      keys,
      q_width: qWidth,
      k_width: kWidth,
      v_width: vWidth,
      q_column: first.q,
      k_column: first.k,
      v_column: first.v,
      causal: causal ? 1 : 0,
      scale: options.scale ?? 1 / Math.sqrt(headDim),
    },
  };
}

/** Whether every head begins on a multiple of four elements, as rungs that read vec4 need it. */
export function inQuads({ sizes: s }: AttentionProblem): boolean {
  return [s.head_dim, s.q_width, s.k_width, s.v_width, s.q_column, s.k_column, s.v_column].every((n) => n % 4 === 0);
}

/** The same sizes with widths and columns counted in vec4. `log2e` is folded into the scale, as these rungs use exp2. */
export function quadSizes({ sizes: s }: AttentionProblem): AttentionSizes {
  return {
    ...s,
    head_dim: s.head_dim / 4,
    q_width: s.q_width / 4,
    k_width: s.k_width / 4,
    v_width: s.v_width / 4,
    q_column: s.q_column / 4,
    k_column: s.k_column / 4,
    v_column: s.v_column / 4,
    scale: s.scale * Math.LOG2E,
  };
}
