/** @file Linear combinations of latents: every step of every sampler is one of these. */

import {
  defineKernel,
  describe,
  expectSameShape,
  perElement,
  ShapeError,
  type Slots,
  slotBegin,
  type Tensor,
} from "../engine/index.ts";
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

/** The same where y and most terms are slots of one buffer: term k begins at bk, or is one of two tensors of their own. */
export const combineSlotsKernel = defineKernel({
  name: "combine-slots",
  buffers: {
    slots: "read_write",
    outside: { access: "read", optional: true },
    outside2: { access: "read", optional: true },
  },
  uniforms: {
    count: "u32",
    terms: "u32",
    outside_term: "u32",
    outside_term2: "u32",
    y: "u32",
    b0: "u32",
    b1: "u32",
    b2: "u32",
    b3: "u32",
    b4: "u32",
    b5: "u32",
    c0: "f32",
    c1: "f32",
    c2: "f32",
    c3: "f32",
    c4: "f32",
    c5: "f32",
  },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
// Element i of term k, which begins at 'begin' if it is a slot.
fn value(k: u32, begin: u32, i: u32) -> f32 {
  if (k == uniforms.outside_term) { return f32(outside[i]); }
  if (k == uniforms.outside_term2) { return f32(outside2[i]); }
  return f32(slots[begin + i]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = flat_index(id, groups);
  if (i >= uniforms.count) { return; }
  let coefficients = array<f32, 6>(uniforms.c0, uniforms.c1, uniforms.c2, uniforms.c3, uniforms.c4, uniforms.c5);
  let begins = array<u32, 6>(uniforms.b0, uniforms.b1, uniforms.b2, uniforms.b3, uniforms.b4, uniforms.b5);
  var sum = 0.0;
  // A loop, as a software driver compiles every load in the text for itself.
  for (var k = 0u; k < uniforms.terms; k++) { sum += coefficients[k] * value(k, begins[k], i); }
  slots[uniforms.y + i] = Element(sum);
}
`,
});

/**
 * a x + b y + ... in one launch, for 1 to 6 terms of one shape and one dtype (f32 or f16, summed in f32), written to `into` or to a
 * new tensor like the first term. `into` may be a term only where all are slots of one buffer.
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
  const y = into ?? x0.device.emptyLike(x0, "combine");
  const { slots } = y.allocation;
  if (slots === undefined) launchApart(terms, y);
  else if (!launchInSlots(terms, y, slots)) {
    // Too many terms lie elsewhere. A buffer can't be read and written in one launch under two names, so y comes afterwards.
    x0.device.scope(() => {
      const sum = x0.device.empty(y.shape, y.dtype, "combine");
      launchApart(terms, sum);
      x0.device.copy(sum, y);
    });
  }
  return y;
}

function launchApart(terms: readonly Term[], y: Tensor): void {
  const [c0, c1, c2, c3, c4, c5] = padded(terms.map(([coefficient]) => coefficient));
  const [x0, x1, x2, x3, x4, x5] = terms.map(([, x]) => x);
  combineKernel.launch({ x0: x0!, x1, x2, x3, x4, x5, y }, { count: y.size, c0, c1, c2, c3, c4, c5 }, perElement(y.size), {
    tunables: { TERMS: terms.length },
  });
}

/** False where more than two terms are no slots. */
function launchInSlots(terms: readonly Term[], y: Tensor, slots: Slots): boolean {
  const elsewhere = terms.flatMap(([, x], k) => (x.allocation.slots === slots ? [] : [k]));
  if (elsewhere.length > 2) return false;
  const [outside, outside2] = elsewhere.map((k) => terms[k]![1]);
  const [outside_term = MAX_TERMS, outside_term2 = MAX_TERMS] = elsewhere;
  const [c0, c1, c2, c3, c4, c5] = padded(terms.map(([coefficient]) => coefficient));
  const [b0, b1, b2, b3, b4, b5] = padded(terms.map(([, x]) => (x.allocation.slots === slots ? slotBegin(x) : 0)));
  const places = { y: slotBegin(y), b0, b1, b2, b3, b4, b5 };
  combineSlotsKernel.launch(
    { slots: slots.whole, outside, outside2 },
    { count: y.size, terms: terms.length, outside_term, outside_term2, ...places, c0, c1, c2, c3, c4, c5 },
    perElement(y.size),
  );
  return true;
}

type Six = [number, number, number, number, number, number];

function padded(values: readonly number[]): Six {
  return Array.from({ length: MAX_TERMS }, (_, i) => values[i] ?? 0) as Six;
}
