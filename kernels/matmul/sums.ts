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
 * `rank4_update(&left, &right, a, b, c)`, between the LANES (4 or 8) lanes of a subgroup: `a` holds four inner numbers of the lane's
 * row, `b` and `c` the same four of the lane's left and right columns (QUADS 1: no right). Each row's numbers go round to all lanes, and
 * the sums i get row i. The four products of a sum are chained, so that it is fetched and put back once for all of them.
 */
export const rank4Update = defineSnippet({
  name: "rank4_update",
  needs: [sums],
  wgsl: /* wgsl */ `
    struct Columns { k0: vec4f, k1: vec4f, k2: vec4f, k3: vec4f }

    fn add_products(sum: vec4f, a: vec4f, b: Columns) -> vec4f {
      return fma(vec4f(a.w), b.k3, fma(vec4f(a.z), b.k2, fma(vec4f(a.y), b.k1, fma(vec4f(a.x), b.k0, sum))));
    }

    fn rank4_update(left: ptr<function, Sums>, right: ptr<function, Sums>, a: vec4f, b: Columns, c: Columns) {
      let row0 = subgroupShuffle(a, 0u);
      (*left)[0] = add_products((*left)[0], row0, b);
      if (QUADS == 2u) { (*right)[0] = add_products((*right)[0], row0, c); }
      let row1 = subgroupShuffle(a, 1u);
      (*left)[1] = add_products((*left)[1], row1, b);
      if (QUADS == 2u) { (*right)[1] = add_products((*right)[1], row1, c); }
      let row2 = subgroupShuffle(a, 2u);
      (*left)[2] = add_products((*left)[2], row2, b);
      if (QUADS == 2u) { (*right)[2] = add_products((*right)[2], row2, c); }
      let row3 = subgroupShuffle(a, 3u);
      (*left)[3] = add_products((*left)[3], row3, b);
      if (QUADS == 2u) { (*right)[3] = add_products((*right)[3], row3, c); }
      if (LANES == 4u) { return; }
      let row4 = subgroupShuffle(a, 4u);
      (*left)[4] = add_products((*left)[4], row4, b);
      if (QUADS == 2u) { (*right)[4] = add_products((*right)[4], row4, c); }
      let row5 = subgroupShuffle(a, 5u);
      (*left)[5] = add_products((*left)[5], row5, b);
      if (QUADS == 2u) { (*right)[5] = add_products((*right)[5], row5, c); }
      let row6 = subgroupShuffle(a, 6u);
      (*left)[6] = add_products((*left)[6], row6, b);
      if (QUADS == 2u) { (*right)[6] = add_products((*right)[6], row6, c); }
      let row7 = subgroupShuffle(a, 7u);
      (*left)[7] = add_products((*left)[7], row7, b);
      if (QUADS == 2u) { (*right)[7] = add_products((*right)[7], row7, c); }
    }

    // As shift, for the LANES sums that are in use.
    fn shift_lanes(sums: ptr<function, Sums>, next: vec4f) {
      shift(sums, next);
      if (LANES == 4u) { (*sums)[3] = next; }
    }`,
});
