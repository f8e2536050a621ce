/** @file LoHa and LoKr (Yeh et al. 2023, LyCORIS): two small matrices multiplied by Hadamard's or by Kronecker's rule. */
import { hadamard, kronecker } from "../../../kernels/index.ts";
import { columnsOf, type DeltaForm, type DeltaSize, type MakeDelta, type Parts, upload } from "./form.ts";
import { type Factors, prepareProduct, productSize } from "./low-rank.ts";

const first: Factors = { left: "hada_w1_a", right: "hada_w1_b", core: "hada_t1", leftTurned: true };
const second: Factors = { left: "hada_w2_a", right: "hada_w2_b", core: "hada_t2", leftTurned: true };

/** D = (w1_a @ w1_b) * (w2_a @ w2_b) */
export const loha: DeltaForm = {
  name: "LoHa",
  has: (parts) => [first, second].some(({ left, right }) => parts.shape(left) ?? parts.shape(right)),
  size(parts) {
    const [a, b] = [productSize(parts, first), productSize(parts, second)];
    return a && b && a.outputs === b.outputs && a.inner === b.inner ? a : undefined;
  },
  async prepare(parts) {
    const [a, b] = [await prepareProduct(parts, first), await prepareProduct(parts, second)];
    return (window) => hadamard(a(window), b(window));
  },
};

/** One side of a Kronecker product: a matrix, or a product of two. */
interface Side {
  readonly whole: "lokr_w1" | "lokr_w2";
  readonly factors: Factors;
}

const left: Side = { whole: "lokr_w1", factors: { left: "lokr_w1_a", right: "lokr_w1_b" } };
const right: Side = {
  whole: "lokr_w2",
  factors: { left: "lokr_w2_a", right: "lokr_w2_b", core: "lokr_t2", leftTurned: true },
};

function sideSize(parts: Parts, { whole, factors }: Side): DeltaSize | undefined {
  const shape = parts.shape(whole);
  if (!shape) return productSize(parts, factors);
  const [outputs = 0] = shape;
  return shape.length >= 2 && outputs > 0 ? { outputs, inner: columnsOf(shape), rank: undefined } : undefined;
}

async function prepareSide(parts: Parts, { whole, factors }: Side): Promise<MakeDelta> {
  const shape = parts.shape(whole);
  if (!shape) return prepareProduct(parts, factors);
  const values = await parts.values(whole);
  return (window) => upload(window, values, shape[0]!);
}

/** D = w1 (x) w2; w2 may have taps, which stay the innermost. */
export const lokr: DeltaForm = {
  name: "LoKr",
  has: (parts) => [left, right].some(({ whole, factors }) => parts.shape(whole) ?? parts.shape(factors.left)),
  size(parts) {
    const [a, b] = [sideSize(parts, left), sideSize(parts, right)];
    if (!a || !b) return undefined;
    return { outputs: a.outputs * b.outputs, inner: a.inner! * b.inner!, rank: b.rank ?? a.rank };
  },
  async prepare(parts) {
    const [a, b] = [await prepareSide(parts, left), await prepareSide(parts, right)];
    return (window) => kronecker(a(window), b(window));
  },
};
