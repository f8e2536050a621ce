/** @file Attention for drivers that run on the CPU with subgroups of eight (lavapipe) or four lanes (SwiftShader). */
import { defineKernel, type Tensor } from "../../engine/index.ts";
import { cast } from "../cast.ts";
import { ticketBuffer, ticketMain, ticketsFor, ticketUniforms } from "../tickets.ts";
import { type AttentionProblem, attentionUniforms, inQuads, quadSizes } from "./problem.ts";
import { attentionSoftwareNarrow } from "./software-narrow.ts";

/**
 * Flash attention (Dao et al. 2022) for a machine on which loads cost more than arithmetic, and workgroup memory as much as loads.
 *
 * A workgroup is one subgroup, and a lane has two queries, LANES apart. LANES keys (values) are read by the lanes, a vec4 each, and
 * go round with subgroupBroadcast: one load for 8 LANES multiply-adds, and softmax needs nothing from other lanes. The head's
 * columns are walked in a loop, not unrolled, so one pipeline serves every head width and is small (this driver compiles a load in
 * about 8 ms a component). The price: the sums stay in y between two tiles of keys, and q is read again for each.
 * Loops are tested at their end (every count is above 0): of one that is tested first, lavapipe runs the body once more for no lane.
 * y is f32 whatever the type of q, k and v. Widths and columns count vec4.
 */
export const attentionSoftware = defineKernel({
  name: "attention",
  rung: "software",
  buffers: {
    q: { access: "read", vec: 4 },
    k: { access: "read", vec: 4 },
    v: { access: "read", vec: 4 },
    y: { access: "read_write", type: "f32", vec: 4 },
    ...ticketBuffer,
  },
  uniforms: { ...attentionUniforms, query_blocks: "u32", ...ticketUniforms },
  tunables: { LANES: 8, KEY_BLOCKS: 2 },
  features: ["subgroups"],
  snippets: [ticketMain],
  wgsl: /* wgsl */ `
    alias Scores = array<vec2f, LANES>;                              // of a block of keys, for a lane's two queries
    const QUERIES = 2u * LANES;                                      // of a tile
    const KEYS = LANES * KEY_BLOCKS;                                 // of a round

    // Four columns of the dot product; pair[d] holds column d of both queries.
    fn add_score(sum: vec2f, key: vec4f, pair: mat4x2f) -> vec2f {
      return fma(vec2f(key.w), pair[3], fma(vec2f(key.z), pair[2], fma(vec2f(key.y), pair[1], fma(vec2f(key.x), pair[0], sum))));
    }

    fn add_scores(sums: Scores, keys: vec4f, pair: mat4x2f) -> Scores {
      var r = sums;
      r[0] = add_score(r[0], subgroupBroadcast(keys, 0u), pair);
      r[1] = add_score(r[1], subgroupBroadcast(keys, 1u), pair);
      r[2] = add_score(r[2], subgroupBroadcast(keys, 2u), pair);
      r[3] = add_score(r[3], subgroupBroadcast(keys, 3u), pair);
      if (LANES == 8u) {                                             // the remainder only keeps unused indices in range
        r[4u % LANES] = add_score(r[4u % LANES], subgroupBroadcast(keys, 4u), pair);
        r[5u % LANES] = add_score(r[5u % LANES], subgroupBroadcast(keys, 5u), pair);
        r[6u % LANES] = add_score(r[6u % LANES], subgroupBroadcast(keys, 6u), pair);
        r[7u % LANES] = add_score(r[7u % LANES], subgroupBroadcast(keys, 7u), pair);
      }
      return r;
    }

    fn add_value(sums: mat2x4f, weight: vec2f, value: vec4f) -> mat2x4f {
      return mat2x4f(fma(vec4f(weight.x), value, sums[0]), fma(vec4f(weight.y), value, sums[1]));
    }

    fn add_values(sums: mat2x4f, weights: Scores, values: vec4f) -> mat2x4f {
      var r = add_value(sums, weights[0], subgroupBroadcast(values, 0u));
      r = add_value(r, weights[1], subgroupBroadcast(values, 1u));
      r = add_value(r, weights[2], subgroupBroadcast(values, 2u));
      r = add_value(r, weights[3], subgroupBroadcast(values, 3u));
      if (LANES == 8u) {
        r = add_value(r, weights[4u % LANES], subgroupBroadcast(values, 4u));
        r = add_value(r, weights[5u % LANES], subgroupBroadcast(values, 5u));
        r = add_value(r, weights[6u % LANES], subgroupBroadcast(values, 6u));
        r = add_value(r, weights[7u % LANES], subgroupBroadcast(values, 7u));
      }
      return r;
    }

    fn compute_tile(tile: u32, lane: u32) {
      let first = tile % uniforms.query_blocks * QUERIES;
      let head = tile / uniforms.query_blocks % uniforms.heads;
      let sample = tile / (uniforms.query_blocks * uniforms.heads);
      let query = first + lane + vec2u(0u, LANES);
      let row = sample * uniforms.queries + min(query, vec2u(uniforms.queries - 1u));
      let q_at = row * uniforms.q_width + uniforms.q_column + head * uniforms.head_dim;
      let y_at = (row * uniforms.heads + head) * uniforms.head_dim;
      let causal = uniforms.causal != 0u;
      let seen = select(vec2u(uniforms.keys), query + 1u, vec2<bool>(causal));
      let end = select(uniforms.keys, min(uniforms.keys, first + QUERIES), causal);

      var largest = vec2f(-3.4e38);                                  // online softmax (Milakov and Gimelshein 2018), by query
      var total = vec2f();
      var key = 0u;
      loop {
        var key_row: array<u32, KEY_BLOCKS>;
        var scores = array<Scores, KEY_BLOCKS>();                    // spelt out: Dawn (webgpu 0.6.2) clears a bare var only once
        for (var b = 0u; b < KEY_BLOCKS; b++) {
          key_row[b] = sample * uniforms.keys + min(key + LANES * b + lane, uniforms.keys - 1u);
        }

        var c = 0u;
        loop {
          let pair = transpose(mat2x4f(vec4f(q[q_at.x + c]), vec4f(q[q_at.y + c]))) * uniforms.scale;
          for (var b = 0u; b < KEY_BLOCKS; b++) {
            let k_at = key_row[b] * uniforms.k_width + uniforms.k_column + head * uniforms.head_dim;
            scores[b] = add_scores(scores[b], vec4f(k[k_at + c]), pair);
          }
          continuing {
            c++;
            break if c >= uniforms.head_dim;
          }
        }

        let before = largest;
        for (var b = 0u; b < KEY_BLOCKS; b++) {
          for (var j = 0u; j < LANES; j++) {
            scores[b][j] = select(vec2f(-3.4e38), scores[b][j], vec2u(key + LANES * b + j) < min(seen, vec2u(uniforms.keys)));
            largest = max(largest, scores[b][j]);
          }
        }
        let keep = exp2(before - largest);
        total *= keep;
        for (var b = 0u; b < KEY_BLOCKS; b++) {
          for (var j = 0u; j < LANES; j++) {
            scores[b][j] = exp2(scores[b][j] - largest);
            total += scores[b][j];
          }
        }

        let factor = select(vec2f(1.0), 1.0 / total, key + KEYS >= end);
        c = 0u;
        loop {
          // The first tile reads y too, whatever it holds: a branch costs all the other tiles more.
          var sums = mat2x4f(
            select(vec4f(), y[y_at.x + c] * keep.x, key > 0u),
            select(vec4f(), y[y_at.y + c] * keep.y, key > 0u),
          );
          for (var b = 0u; b < KEY_BLOCKS; b++) {
            let v_at = key_row[b] * uniforms.v_width + uniforms.v_column + head * uniforms.head_dim;
            sums = add_values(sums, scores[b], vec4f(v[v_at + c]));
          }
          if (query.x < uniforms.queries) { y[y_at.x + c] = sums[0] * factor.x; }
          if (query.y < uniforms.queries) { y[y_at.y + c] = sums[1] * factor.y; }
          continuing {
            c++;
            break if c >= uniforms.head_dim;
          }
        }
        continuing {
          key += KEYS;
          break if key >= end;
        }
      }
    }`,
});

/** Whether this rung can run: subgroups of exactly eight or four lanes, and columns in fours. */
export function softwareFits(problem: AttentionProblem): boolean {
  return [4, 8].includes(problem.q.device.subgroupSize) && inQuads(problem);
}

/** Head widths up to this have a kernel of their own. */
const widestNarrow = 8;

export function software(problem: AttentionProblem): Tensor {
  const { q, k, v } = problem;
  const { batch, queries, heads, head_dim } = problem.sizes;
  const lanes = q.device.subgroupSize;
  return q.device.scope(() => {
    const y = q.device.empty([batch, queries, heads * head_dim], "f32", "attention");
    const sizes = quadSizes(problem);
    const isNarrow = head_dim <= widestNarrow && q.device.accepts(attentionSoftwareNarrow.name);
    const query_blocks = Math.ceil(queries / ((isNarrow ? 4 : 2) * lanes));
    const tickets = ticketsFor(q.device, query_blocks * heads * batch);
    const buffers = { q, k, v, y, ...tickets.buffers };
    const uniforms = { ...sizes, query_blocks, ...tickets.uniforms };
    if (isNarrow)
      attentionSoftwareNarrow.launch(buffers, uniforms, tickets.grid, { tunables: { LANES: lanes, COLUMNS: sizes.head_dim } });
    else attentionSoftware.launch(buffers, uniforms, tickets.grid, { tunables: { LANES: lanes, KEY_BLOCKS: 16 / lanes } });
    return q.dtype === "f16" ? cast(y, "f16") : y;
  });
}
