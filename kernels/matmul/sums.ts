/** @file Eight sums of four columns each, the accumulator of the fast rungs, written out because an index would put it in memory. */
import { defineSnippet } from "../../engine/index.ts";

/** `alias Sums`; `shift(&sums, next)` moves every sum one place down and `next` into the last, so that a loop can store sums[0]. */
export const sums = defineSnippet({
  name: "sums",
  wgsl: /* wgsl */ `
    alias Sums = array<vec4f, 8>;

    fn shift(sums: ptr<function, Sums>, next: vec4f) {
      (*sums)[0] = (*sums)[1];
      (*sums)[1] = (*sums)[2];
      (*sums)[2] = (*sums)[3];
      (*sums)[3] = (*sums)[4];
      (*sums)[4] = (*sums)[5];
      (*sums)[5] = (*sums)[6];
      (*sums)[6] = (*sums)[7];
      (*sums)[7] = next;
    }`,
});

/** `rank1_update(&sums, upper, lower, columns)`: adds the products of eight rows' numbers with those of four columns. */
export const rank1Update = defineSnippet({
  name: "rank1_update",
  needs: [sums],
  wgsl: /* wgsl */ `
    fn rank1_update(sums: ptr<function, Sums>, upper: vec4f, lower: vec4f, columns: vec4f) {
      (*sums)[0] = fma(vec4f(upper.x), columns, (*sums)[0]);
      (*sums)[1] = fma(vec4f(upper.y), columns, (*sums)[1]);
      (*sums)[2] = fma(vec4f(upper.z), columns, (*sums)[2]);
      (*sums)[3] = fma(vec4f(upper.w), columns, (*sums)[3]);
      (*sums)[4] = fma(vec4f(lower.x), columns, (*sums)[4]);
      (*sums)[5] = fma(vec4f(lower.y), columns, (*sums)[5]);
      (*sums)[6] = fma(vec4f(lower.z), columns, (*sums)[6]);
      (*sums)[7] = fma(vec4f(lower.w), columns, (*sums)[7]);
    }`,
});

/**
 * `rank4_update(&sums, a, b)`, between the LANES (4 or 8) lanes of a subgroup: `a` holds four inner numbers of the lane's row, `b` the
 * same four of the lane's columns; each row's numbers go round to all lanes, and sums[i] gets row i. The four products of a sum
 * are chained, so that it is fetched and put back once for all of them.
 */
export const rank4Update = defineSnippet({
  name: "rank4_update",
  needs: [sums],
  wgsl: /* wgsl */ `
    struct Columns { b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f }

    fn add_products(sum: vec4f, a: vec4f, b: Columns) -> vec4f {
      return fma(vec4f(a.w), b.b3, fma(vec4f(a.z), b.b2, fma(vec4f(a.y), b.b1, fma(vec4f(a.x), b.b0, sum))));
    }

    fn rank4_update(sums: ptr<function, Sums>, a: vec4f, b: Columns) {
      (*sums)[0] = add_products((*sums)[0], subgroupShuffle(a, 0u), b);
      (*sums)[1] = add_products((*sums)[1], subgroupShuffle(a, 1u), b);
      (*sums)[2] = add_products((*sums)[2], subgroupShuffle(a, 2u), b);
      (*sums)[3] = add_products((*sums)[3], subgroupShuffle(a, 3u), b);
      if (LANES == 4u) { return; }
      (*sums)[4] = add_products((*sums)[4], subgroupShuffle(a, 4u), b);
      (*sums)[5] = add_products((*sums)[5], subgroupShuffle(a, 5u), b);
      (*sums)[6] = add_products((*sums)[6], subgroupShuffle(a, 6u), b);
      (*sums)[7] = add_products((*sums)[7], subgroupShuffle(a, 7u), b);
    }

    // As shift, for the LANES sums that are in use.
    fn shift_lanes(sums: ptr<function, Sums>, next: vec4f) {
      shift(sums, next);
      if (LANES == 4u) { (*sums)[3] = next; }
    }`,
});
