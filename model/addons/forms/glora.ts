/** @file GLoRA (Chavan et al. 2023): a change that looks at the weight. */
import { add, gatherWeight, matmul } from "../../../kernels/index.ts";
import type { Part } from "../lora-parts.ts";
import { columnsOf, type DeltaForm, type Parts, upload } from "./form.ts";

/** D = outer[0] @ outer[1] + (W @ inner[0]) @ inner[1] */
interface Order {
  readonly outer: readonly [Part, Part];
  readonly inner: readonly [Part, Part];
  readonly rank: number;
}

/** LyCORIS wrote b2 b1 + (W a2) a1 once, and b1 b2 + (W a1) a2 later: the sizes tell which (ComfyUI `weight_adapter/glora.py`). */
function orderOf(parts: Parts): Order | undefined {
  const [a1, a2, b1, b2] = (["a1", "a2", "b1", "b2"] as const).map((part) => parts.shape(part));
  if (!a1 || !a2 || !b1 || !b2) return undefined;
  const same = (...sizes: number[]) => sizes.every((size) => size === sizes[0]);
  const older = same(columnsOf(b2), b1[0]!, a1[0]!, columnsOf(a2));
  const newer = same(b2[0]!, columnsOf(b1), columnsOf(a1), a2[0]!);
  // Of a square weight the sizes fit both; the rank is the smaller of the two.
  if (older && (!newer || a1[0]! <= a2[0]!)) return { outer: ["b2", "b1"], inner: ["a2", "a1"], rank: a1[0]! };
  return newer ? { outer: ["b1", "b2"], inner: ["a1", "a2"], rank: a2[0]! } : undefined;
}

export const glora: DeltaForm = {
  name: "GLoRA",
  has: (parts) => (["a1", "a2", "b1", "b2"] as const).some((part) => parts.shape(part)),
  size(parts) {
    const order = orderOf(parts);
    if (!order || order.rank < 1) return undefined;
    const [b, d, a, c] = [...order.outer, ...order.inner].map((part) => parts.shape(part)!);
    const [outputs, inner] = [b![0]!, columnsOf(d!)];
    return a![0] === inner && columnsOf(c!) === inner ? { outputs, inner, rank: order.rank } : undefined;
  },
  async prepare(parts) {
    const { outer, inner } = orderOf(parts)!;
    const names = [...outer, ...inner];
    const [b, d, a, c] = await Promise.all(names.map((part) => parts.values(part)));
    const [bRows, dRows, aRows, cRows] = names.map((part) => parts.shape(part)![0]!);
    return (window) => {
      const seen = matmul(gatherWeight(window), upload(window, a!, aRows!)); //       [outputs, r]
      const own = matmul(upload(window, b!, bRows!), upload(window, d!, dRows!)); // [outputs, inner]
      return add(own, matmul(seen, upload(window, c!, cRows!)));
    };
  },
};
