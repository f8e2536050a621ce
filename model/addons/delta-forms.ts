/**
 * @file The ways in which adapters write down a change D of a weight [outputs, inner], in the file's order, where inner runs over inputs and
 * taps. Each form says from shapes alone which weight it is for; its numbers become D on the GPU.
 * Sources: LoRA (Hu et al. 2021), LoCon, LoHa, LoKr (Yeh et al. 2023, LyCORIS), GLoRA (Chavan et al. 2023), OFT (Qiu et al. 2023).
 */
import type { Tensor } from "../../engine/index.ts";
import { add, gatherWeight, hadamard, kronecker, matmul, rotateOutputs, type WeightWindow } from "../../kernels/index.ts";
import { foldCore, leadingColumns, rotationsMinusOne, transpose } from "./factors.ts";
import type { Part } from "./lora-parts.ts";

/** The tensors of one adapter. */
export interface Parts {
  /** Shape in the file; undefined if it has no such part. */
  shape(part: Part): readonly number[] | undefined;
  /** All numbers of a part, row-major. */
  values(part: Part): Promise<Float32Array>;
}

export interface DeltaSize {
  readonly outputs: number;
  /** Undefined where any will do. */
  readonly inner: number | undefined;
  /** What alpha is divided by; undefined: the scale is 1. */
  readonly rank: number | undefined;
}

/** Records the launches that make D, f32 [outputs, inner], for a weight; within a scope of the caller's. */
export type MakeDelta = (window: WeightWindow) => Tensor;

export interface DeltaForm {
  readonly name: string;
  /** True if the parts are of this form, be they complete or not. */
  has(parts: Parts): boolean;
  /** The weight it is for; undefined where parts are missing or don't fit together. */
  size(parts: Parts): DeltaSize | undefined;
  /** Reads the numbers. `rank` cuts a LoRA to its first ranks. */
  prepare(parts: Parts, options: { readonly rank?: number | undefined; readonly alpha: number | undefined }): Promise<MakeDelta>;
}

const rest = (shape: readonly number[]): number => shape.slice(1).reduce((product, size) => product * size, 1);

/** A matrix of the file on the device: [first size, product of the others]. */
const upload = ({ tensor }: WeightWindow, values: Float32Array, rows: number): Tensor =>
  tensor.device.upload(values, [rows, values.length / rows], "f32", "factor");

/** Names of the three factors of a low-rank product: left @ right, or with a core between them. */
interface Factors {
  readonly left: Part;
  readonly right: Part;
  readonly core: Part;
  /** With a core the left factor is [rank, outputs]. */
  readonly leftTurned: boolean;
}

/** left [outputs, r] @ right [r, inner]; with a core [n, q, kh, kw] it is left [outputs, n], right [q, inputs] (Tucker, CP). */
function productSize(parts: Parts, { left, right, core, leftTurned }: Factors): DeltaSize | undefined {
  const [l, r, c] = [parts.shape(left), parts.shape(right), parts.shape(core)];
  if (!l || !r || l.length < 2 || r.length < 2) return undefined;
  const rank = r[0]!;
  const turned = c !== undefined && leftTurned;
  const [outputs, leftRank] = turned ? [rest(l), l[0]!] : [l[0]!, rest(l)];
  const fits = c === undefined ? leftRank === rank : c.length >= 2 && c[0] === leftRank && c[1] === rank;
  if (rank < 1 || outputs < 1 || !fits) return undefined;
  return { outputs, inner: rest(r) * (c === undefined ? 1 : rest(c.slice(1))), rank };
}

async function prepareProduct(parts: Parts, factors: Factors, cut?: number): Promise<MakeDelta> {
  const { outputs, rank } = productSize(parts, factors) as { outputs: number; rank: number };
  const core = parts.shape(factors.core);
  const read = await parts.values(factors.left);
  const left = core && factors.leftTurned ? transpose(read, core[0]!) : read; // [outputs, r]
  const right = await parts.values(factors.right); // [r, inner]
  if (core) {
    const folded = foldCore(await parts.values(factors.core), right, { n: core[0]!, q: core[1]! }); // [n, inner]
    return (window) => matmul(upload(window, left, outputs), upload(window, folded, core[0]!));
  }
  const kept = Math.min(cut ?? rank, rank);
  const shortLeft = leadingColumns(left, rank, kept);
  const shortRight = right.subarray(0, (right.length / rank) * kept);
  return (window) => matmul(upload(window, shortLeft, outputs), upload(window, shortRight, kept));
}

const loraFactors: Factors = { left: "up", right: "down", core: "mid", leftTurned: false };

const lora: DeltaForm = {
  name: "LoRA",
  has: (parts) => ["up", "down", "mid"].some((part) => parts.shape(part as Part)),
  size: (parts) => productSize(parts, loraFactors),
  prepare: (parts, { rank }) => prepareProduct(parts, loraFactors, rank),
};

const lohaFactors = [
  { left: "hada_w1_a", right: "hada_w1_b", core: "hada_t1", leftTurned: true },
  { left: "hada_w2_a", right: "hada_w2_b", core: "hada_t2", leftTurned: true },
] as const satisfies readonly Factors[];

const loha: DeltaForm = {
  name: "LoHa",
  has: (parts) => lohaFactors.some(({ left, right }) => parts.shape(left) || parts.shape(right)),
  size(parts) {
    const [a, b] = lohaFactors.map((factors) => productSize(parts, factors));
    return a && b && a.outputs === b.outputs && a.inner === b.inner ? a : undefined;
  },
  async prepare(parts) {
    const [a, b] = [await prepareProduct(parts, lohaFactors[0]), await prepareProduct(parts, lohaFactors[1])];
    return (window) => hadamard(a(window), b(window));
  },
};

const lokrFactors = {
  w1: { left: "lokr_w1_a", right: "lokr_w1_b", core: "hada_t1", leftTurned: true },
  w2: { left: "lokr_w2_a", right: "lokr_w2_b", core: "lokr_t2", leftTurned: true },
} as const satisfies Record<string, Factors>;

/** One side of a Kronecker product: whole, or a product itself. */
function sideSize(parts: Parts, whole: "lokr_w1" | "lokr_w2"): DeltaSize | undefined {
  const shape = parts.shape(whole);
  if (!shape) return productSize(parts, lokrFactors[whole === "lokr_w1" ? "w1" : "w2"]);
  return shape.length >= 2 && shape[0]! > 0 ? { outputs: shape[0]!, inner: rest(shape), rank: undefined } : undefined;
}

async function prepareSide(parts: Parts, whole: "lokr_w1" | "lokr_w2"): Promise<MakeDelta> {
  const shape = parts.shape(whole);
  if (!shape) return prepareProduct(parts, lokrFactors[whole === "lokr_w1" ? "w1" : "w2"]);
  const values = await parts.values(whole);
  return (window) => upload(window, values, shape[0]!);
}

const lokr: DeltaForm = {
  name: "LoKr",
  has: (parts) => (["lokr_w1", "lokr_w2", "lokr_w1_a", "lokr_w2_a"] as const).some((part) => parts.shape(part)),
  size(parts) {
    const [a, b] = [sideSize(parts, "lokr_w1"), sideSize(parts, "lokr_w2")];
    if (!a || !b) return undefined;
    return { outputs: a.outputs * b.outputs, inner: a.inner! * b.inner!, rank: b.rank ?? a.rank };
  },
  async prepare(parts) {
    const [a, b] = [await prepareSide(parts, "lokr_w1"), await prepareSide(parts, "lokr_w2")];
    return (window) => kronecker(a(window), b(window));
  },
};

const wholeParts = ["diff", "w_norm", "set_weight"] as const;
const wholePart = (parts: Parts) => wholeParts.find((part) => parts.shape(part));

/** D as it is: a full difference, a norm's, or (`set_weight`) the new weight itself. */
const full: DeltaForm = {
  name: "full difference",
  has: (parts) => wholePart(parts) !== undefined,
  size(parts) {
    const shape = parts.shape(wholePart(parts)!)!;
    return shape.length > 0 && shape[0]! > 0 ? { outputs: shape[0]!, inner: rest(shape), rank: undefined } : undefined;
  },
  async prepare(parts) {
    const part = wholePart(parts)!;
    const rows = parts.shape(part)![0]!;
    const values = await parts.values(part);
    return (window) => upload(window, values, rows);
  },
};

/** LyCORIS wrote b2 b1 + (W a2) a1 once, and b1 b2 + (W a1) a2 later: the sizes tell which, as in ComfyUI `weight_adapter/glora.py`. */
function gloraOrder(
  parts: Parts,
): { readonly inner: readonly [Part, Part]; readonly outer: readonly [Part, Part]; readonly rank: number } | undefined {
  const [a1, a2, b1, b2] = (["a1", "a2", "b1", "b2"] as const).map((part) => parts.shape(part));
  if (!a1 || !a2 || !b1 || !b2) return undefined;
  const same = (...sizes: number[]) => sizes.every((size) => size === sizes[0]);
  const older = same(rest(b2), b1[0]!, a1[0]!, rest(a2));
  const newer = same(b2[0]!, rest(b1), rest(a1), a2[0]!);
  const square = same(a2[0]!, b2[0]!, rest(b1));
  if (older && (!newer || square)) return { inner: ["a2", "a1"], outer: ["b2", "b1"], rank: a1[0]! };
  return newer ? { inner: ["a1", "a2"], outer: ["b1", "b2"], rank: a2[0]! } : undefined;
}

const glora: DeltaForm = {
  name: "GLoRA",
  has: (parts) => (["a1", "a2", "b1", "b2"] as const).some((part) => parts.shape(part)),
  size(parts) {
    const order = gloraOrder(parts);
    if (!order || order.rank < 1) return undefined;
    const [left, right] = order.outer.map((part) => parts.shape(part)!);
    return { outputs: left![0]!, inner: rest(right!), rank: order.rank };
  },
  async prepare(parts) {
    const { inner, outer } = gloraOrder(parts)!;
    const [a, c, b, d] = await Promise.all([...inner, ...outer].map((part) => parts.values(part)));
    const rows = (part: Part) => parts.shape(part)![0]!;
    return (window) => {
      const seen = matmul(gatherWeight(window), upload(window, a!, rows(inner[0]))); // [outputs, r]
      const own = matmul(upload(window, b!, rows(outer[0])), upload(window, d!, rows(outer[1]))); // [outputs, inner]
      return add(own, matmul(seen, upload(window, c!, rows(inner[1]))));
    };
  },
};

/** D = (R - I) W in blocks of outputs, R a rotation. */
const oft: DeltaForm = {
  name: "OFT",
  has: (parts) => parts.shape("oft_blocks") !== undefined || parts.shape("oft_diag") !== undefined,
  size(parts) {
    const [count = 0, block = 0, other, ...more] = parts.shape("oft_blocks") ?? parts.shape("oft_diag")!;
    return more.length === 0 && block === other && count * block > 0
      ? { outputs: count * block, inner: undefined, rank: undefined }
      : undefined;
  },
  async prepare(parts, { alpha }) {
    const part = parts.shape("oft_blocks") ? "oft_blocks" : "oft_diag";
    const [count = 0, block = 0] = parts.shape(part)!;
    const blocks = rotationsMinusOne(await parts.values(part), { count, block, skew: part === "oft_blocks", constraint: alpha });
    return (window) =>
      rotateOutputs(gatherWeight(window), window.tensor.device.upload(blocks, [count, block, block], "f32", "rotations"));
  },
};

/** In the order in which they are looked for. */
export const deltaForms: readonly DeltaForm[] = [lora, loha, lokr, glora, oft, full];
