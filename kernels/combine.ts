/** @file Linear combinations of latents: every step of every sampler is one of these. */

import { defineKernel, describe, expectSameShape, perElement, ShapeError, type Tensor } from "../engine/index.ts";
import { flatIndex } from "./snippets.ts";

/** A coefficient and what it multiplies. */
export type Term = readonly [coefficient: number, x: Tensor];

const MAX_TERMS = 6;

export const combineKernel = defineKernel({
  name: "combine",
  buffers: {
    x0: "read",
    x1: { access: "read", optional: true },
    x2: { access: "read", optional: true },
    x3: { access: "read", optional: true },
    x4: { access: "read", optional: true },
    x5: { access: "read", optional: true },
    y: "write",
  },
  uniforms: { count: "u32", c0: "f32", c1: "f32", c2: "f32", c3: "f32", c4: "f32", c5: "f32" },
  tunables: { TERMS: 1 },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = flat_index(id, groups);
  if (i >= uniforms.count) { return; }
  var sum = uniforms.c0 * f32(x0[i]);
  if (TERMS > 1u) { sum += uniforms.c1 * f32(x1[i]); }
  if (TERMS > 2u) { sum += uniforms.c2 * f32(x2[i]); }
  if (TERMS > 3u) { sum += uniforms.c3 * f32(x3[i]); }
  if (TERMS > 4u) { sum += uniforms.c4 * f32(x4[i]); }
  if (TERMS > 5u) { sum += uniforms.c5 * f32(x5[i]); }
  y[i] = Element(sum);
}
`,
});

/**
 * a x + b y + ... in one launch, for 1 to 6 terms of one shape and one dtype (f32 or f16, summed in f32), written to `into` (no
 * term of the sum) or to a new tensor.
 * @throws ShapeError when they differ, or for another number of terms
 */
export function combine(terms: readonly Term[], into?: Tensor): Tensor {
  const [first, ...others] = terms;
  if (first === undefined || terms.length > MAX_TERMS)
    throw new ShapeError(`combine: takes 1 to ${MAX_TERMS} terms, got ${terms.length}`);
  const [, x0] = first;
  for (const [, x] of others) {
    expectSameShape("combine", x0, x);
    if (x.dtype !== x0.dtype)
      throw new ShapeError(`combine: dtypes differ - ${describe(x0)} and ${describe(x)}`, { hint: "cast() one of them" });
  }
  if (into) expectSameShape("combine", x0, into);
  const y = into ?? x0.device.empty(x0.shape, x0.dtype);
  const [c0, c1, c2, c3, c4, c5] = Array.from({ length: MAX_TERMS }, (_, i) => terms[i]?.[0] ?? 0) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [x1, x2, x3, x4, x5] = others.map(([, x]) => x);
  combineKernel.launch({ x0, x1, x2, x3, x4, x5, y }, { count: y.size, c0, c1, c2, c3, c4, c5 }, perElement(y.size), {
    tunables: { TERMS: terms.length },
  });
  return y;
}
