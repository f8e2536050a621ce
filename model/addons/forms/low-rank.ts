/** @file Products of low rank: what LoRA is, and what LoHa and LoKr are made of. */
import { matmul } from "../../../kernels/index.ts";
import type { Part } from "../lora-parts.ts";
import { foldCore, leadingColumns, transpose } from "./factors.ts";
import { columnsOf, type DeltaForm, type DeltaSize, type MakeDelta, type Parts, upload } from "./form.ts";

/**
 * Names of the factors. left [outputs, r] @ right [r, inner]; or with a core [n, q, kh, kw] between them (Tucker, CP): right is [q, inputs] and
 * left [outputs, n], or [n, outputs] where `leftTurned`.
 */
export interface Factors {
  readonly left: Part;
  readonly right: Part;
  readonly core?: Part;
  readonly leftTurned?: boolean;
}

/** Undefined where a factor is missing, a rank is 0, or two ranks differ. */
export function productSize(parts: Parts, { left, right, core, leftTurned = false }: Factors): DeltaSize | undefined {
  const [l, r] = [parts.shape(left), parts.shape(right)];
  const c = core && parts.shape(core);
  if (!l || !r || l.length < 2 || r.length < 2) return undefined;
  const rank = r[0]!;
  const [outputs, leftRank] = c && leftTurned ? [columnsOf(l), l[0]!] : [l[0]!, columnsOf(l)];
  const fits = c ? c.length >= 2 && c[0] === leftRank && c[1] === rank : leftRank === rank;
  const inner = columnsOf(r) * (c ? columnsOf(c.slice(1)) : 1);
  return fits && rank > 0 && outputs > 0 && inner > 0 ? { outputs, inner, rank } : undefined;
}

/** D of factors that have a size, cut to the first `cut` ranks. */
export async function prepareProduct(parts: Parts, factors: Factors, cut?: number): Promise<MakeDelta> {
  const { outputs, rank } = productSize(parts, factors) as { outputs: number; rank: number };
  const left = await parts.values(factors.left);
  const right = await parts.values(factors.right); // [r, inner], or [q, inputs]
  const core = factors.core && parts.shape(factors.core);
  if (factors.core && core) {
    const n = core[0]!;
    const rows = factors.leftTurned ? transpose(left, n) : left; // [outputs, n]
    const folded = foldCore(await parts.values(factors.core), right, { n, q: rank }); // [n, inner]
    return (window) => matmul(upload(window, rows, outputs), upload(window, folded, n));
  }
  const kept = Math.min(cut ?? rank, rank);
  const [first, second] = [leadingColumns(left, rank, kept), right.subarray(0, (right.length / rank) * kept)];
  return (window) => matmul(upload(window, first, outputs), upload(window, second, kept));
}

const factors: Factors = { left: "up", right: "down", core: "mid" };

/** LoRA (Hu et al. 2021) and, for convolutions, LoCon: D = up @ down; with a core, D[o, i, k] = sum of up[o, n] mid[n, q, k] down[q, i]. */
export const lora: DeltaForm = {
  name: "LoRA",
  has: (parts) => (["up", "down", "mid"] as const).some((part) => parts.shape(part)),
  size: (parts) => productSize(parts, factors),
  prepare: (parts, { rank }) => prepareProduct(parts, factors, rank),
};
