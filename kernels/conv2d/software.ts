/**
 * @file Convolution and GEMM, the rung for drivers that run shaders on the CPU, which pay for every load, masked store and barrier
 * but hardly for arithmetic on values that are at hand. A workgroup is one subgroup and shares loads by shuffles alone:
 * no workgroup memory, no barrier. Channels and outputs are multiples of 4.
 */
import { defineKernel, defineSnippet } from "../../engine/index.ts";
import { epilogue, epilogueBuffers } from "../matmul/epilogue.ts";
import { rank4Update } from "../matmul/sums.ts";
import { gelu } from "../snippets.ts";
import { ticketBuffer, ticketMain, ticketUniforms } from "../tickets.ts";
import { convolutionFlags, convolutionUniforms, gather } from "./gather.ts";

/**
 * `compute_tile(tile, lane)`, tiles counted down first (`down` in a column): a subgroup computes BLOCKS LANES rows (pixels) by 4 QUADS LANES
 * columns (output channels): lane i loads rows i, LANES + i, ... of x and its own QUADS fours of columns of the weights. All loads come
 * before the products: to lavapipe a load is a branch for each lane, and products on both sides of one take twice as long. With 4 blocks
 * (few rows: 1) and 2 quads (few columns: 1) the products are 21 KiB of code, which with a load of each kind just fits into a core's
 * instruction cache; so loads stand once, in a loop that runs through their registers in turn (all eight written out: a sixth slower).
 * Rows are stored by such a loop, too; lavapipe compiles a load or store in about 50 ms. Counts are uniforms (`four`: 4, `parts`:
 * BLOCKS QUADS) or Mesa would unroll the loops. These are tested at their end (every count is above 0): of one that is tested first,
 * lavapipe runs the body once more for no lane, which with few channels costs a tenth of the time.
 *
 * The kernel says how it reads weights: `WeightRow`, a lane's columns of one row; `load_row(k, columns: vec2u) -> WeightRow` for the two
 * quads that `find_columns(first) -> vec2u` gives (those past the end may repeat others); `left_of`, `right_of(row: WeightRow) -> vec4f`.
 *
 * Where `terms` has `gates` (2 quads), the first half of the weights' columns are values, the second half their gates (GEGLU, Shazeer 2020),
 * and y has half as many (`quads`). As a uniform it makes no second pipeline of this kernel, which takes more than a second to compile.
 */
const softwareTile = defineSnippet({
  name: "software_tile",
  needs: [ticketMain, epilogue, gather, gelu, rank4Update],
  wgsl: /* wgsl */ `
    // First of a lane's columns of the weights, in fours; of two lanes that work together the first has eight values, the other their gates.
    fn first_quad(own: u32, gates: bool) -> u32 {
      return select(own * QUADS, own / 2u * 2u + (own % 2u) * uniforms.quads, gates);
    }

    // Sums of two rows, values in even lanes and their gates in odd ones -> value * gelu(gate), the first row's in even lanes.
    fn gated_between_two(first: vec4f, second: vec4f, lane: u32) -> vec4f {
      let odd = lane % 2u == 1u;
      let other = subgroupShuffle(select(second, first, odd), lane ^ 1u);
      return select(first, other, odd) * gelu4(select(other, second, odd));
    }

    fn compute_tile(tile: u32, lane: u32) {
      let place = vec2u(tile / uniforms.down, tile % uniforms.down);
      let first_row = place.y * BLOCKS * LANES;
      let own = place.x * LANES + lane;
      let gates = (uniforms.terms & 8u) != 0u;
      let columns = find_columns(first_quad(own, gates));
      let pixels = find_pixels(vec4u(first_row + lane) + vec4u(0u, 1u, 2u, 3u) * LANES);

      var left0: Sums;
      var left1: Sums;
      var left2: Sums;
      var left3: Sums;
      var right0: Sums;
      var right1: Sums;
      var right2: Sums;
      var right3: Sums;
      var k = 0u;                                                       // row of the weights [KH * KW * C, O]
      var dy = 0u;
      loop {
        var dx = 0u;
        loop {
          let taps = input_pixels(pixels, dy, dx);
          let inside = taps != vec4u(OUTSIDE);
          var at = select(vec4u(), taps, inside) * uniforms.channel_quads;
          let end = k + 4u * uniforms.channel_quads;
          loop {
            var rows: array<WeightRow, 4>;
            var a: array<vec4f, 4>;
            if (BLOCKS == 1u) {
              rows[0] = load_row(k, columns);
              rows[1] = load_row(k + 1u, columns);
              rows[2] = load_row(k + 2u, columns);
              rows[3] = load_row(k + 3u, columns);
              a[0] = vec4f(x[at.x]);
            } else {
              var i = 0u;
              loop {                                                    // registers in turn: after four rounds all are where they belong
                rows[0] = rows[1];
                rows[1] = rows[2];
                rows[2] = rows[3];
                rows[3] = load_row(k + i, columns);
                a[0] = a[1];
                a[1] = a[2];
                a[2] = a[3];
                a[3] = vec4f(x[at.x]);
                at = at.yzwx;
                continuing {
                  i++;
                  break if i >= uniforms.four;
                }
              }
            }
            k += 4u;
            let left = Columns(left_of(rows[0]), left_of(rows[1]), left_of(rows[2]), left_of(rows[3]));
            let right = Columns(right_of(rows[0]), right_of(rows[1]), right_of(rows[2]), right_of(rows[3]));
            rank4_update(&left0, &right0, select(vec4f(), a[0], inside.x), left, right);
            if (BLOCKS > 1u) {
              rank4_update(&left1, &right1, select(vec4f(), a[1], inside.y), left, right);
              rank4_update(&left2, &right2, select(vec4f(), a[2], inside.z), left, right);
              rank4_update(&left3, &right3, select(vec4f(), a[3], inside.w), left, right);
            }
            at += 1u;
            continuing { break if k >= end; }
          }
          continuing {
            dx++;
            break if dx >= uniforms.kernel_width;
          }
        }
        continuing {
          dy++;
          break if dy >= uniforms.kernel_height;
        }
      }

      let left_bias = bias_of(columns.x);
      let right_bias = bias_of(columns.y);
      var part = 0u;                                                    // of each block of rows the left, then the right columns
      loop {
        let side = part % QUADS;
        let side_bias = select(left_bias, right_bias, side == 1u);
        let quad = select(own * QUADS, own / 2u * 2u, gates) + side;
        var i = 0u;
        loop {
          var row = first_row + (part / QUADS) * LANES + i;
          var value = left0[0] + side_bias;
          let stores = !gates || i % 2u == 0u;
          if (gates && stores) {
            value = gated_between_two(value, left0[1] + side_bias, lane);
            row += lane % 2u;
          }
          if (stores && row < uniforms.rows && quad < uniforms.quads) {
            y[row * uniforms.quads + quad] = Element4(epilogue(value, vec4f(), row, quad));
          }
          shift_lanes(&left0, vec4f());
          continuing {
            i++;
            break if i >= uniforms.four * (LANES / 4u);
          }
        }
        if (QUADS == 1u) {
          left0 = left1;
          left1 = left2;
          left2 = left3;
        } else {
          left0 = right0;
          right0 = left1;
          left1 = right1;
          right1 = left2;
          left2 = right2;
          right2 = left3;
          left3 = right3;
        }
        continuing {
          part++;
          break if part >= uniforms.parts;
        }
      }
    }`,
});

const shape = {
  uniforms: {
    ...convolutionUniforms,
    channel_quads: "u32",
    quads: "u32",
    weight_quads: "u32",
    four: "u32",
    parts: "u32",
    down: "u32",
    ...ticketUniforms,
  },
  flags: convolutionFlags,
  tunables: { ACTIVATION: 0, LANES: 8, BLOCKS: 4, QUADS: 2 },
  features: ["subgroups"],
} as const;

/** Weights of any type, read in fours. */
export const conv2dSoftware = defineKernel({
  name: "conv2d",
  rung: "software",
  buffers: {
    x: { access: "read", vec: 4 },
    weight: { access: "read", type: "Weight", vec: 4 },
    y: { access: "write", vec: 4 },
    ...epilogueBuffers,
    ...ticketBuffer,
  },
  ...shape,
  snippets: [softwareTile],
  wgsl: /* wgsl */ `
    struct WeightRow { left: vec4f, right: vec4f }

    fn find_columns(first: u32) -> vec2u { return min(vec2u(first, first + 1u), vec2u(uniforms.weight_quads - 1u)); }

    fn load_row(k: u32, columns: vec2u) -> WeightRow {
      let row = k * uniforms.weight_quads;
      if (QUADS == 1u) { return WeightRow(vec4f(weight[row + columns.x]), vec4f()); }
      return WeightRow(vec4f(weight[row + columns.x]), vec4f(weight[row + columns.y]));
    }

    fn left_of(row: WeightRow) -> vec4f { return row.left; }

    fn right_of(row: WeightRow) -> vec4f { return row.right; }`,
});

/** Weights in f16, outputs in eights: two numbers a word, so that as many loads bring twice as many. QUADS is 2. */
export const conv2dSoftwareHalves = defineKernel({
  name: "conv2d",
  rung: "software-halves",
  buffers: {
    x: { access: "read", vec: 4 },
    weight: { access: "read", type: "u32", vec: 4 },
    y: { access: "write", vec: 4 },
    ...epilogueBuffers,
    ...ticketBuffer,
  },
  ...shape,
  snippets: [softwareTile],
  wgsl: /* wgsl */ `
    alias WeightRow = vec4u;

    fn find_columns(first: u32) -> vec2u { return min(first, uniforms.weight_quads - 2u) + vec2u(0u, 1u); }

    fn load_row(k: u32, columns: vec2u) -> WeightRow { return weight[(k * uniforms.weight_quads + columns.x) / 2u]; }

    fn left_of(row: WeightRow) -> vec4f { return vec4f(unpack2x16float(row.x), unpack2x16float(row.y)); }

    fn right_of(row: WeightRow) -> vec4f { return vec4f(unpack2x16float(row.z), unpack2x16float(row.w)); }`,
});
