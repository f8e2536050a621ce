/** @file Attention of narrow heads on drivers that run on the CPU: nothing but k and v is read in the loop over the keys. */
import { defineKernel } from "../../engine/index.ts";
import { ticketBuffer, ticketMain, ticketUniforms } from "../tickets.ts";
import { attentionUniforms } from "./problem.ts";

/**
 * Flash attention (Dao et al. 2022) as attentionSoftware has it, for heads whose columns (COLUMNS vec4) are few enough to be unrolled:
 * queries and sums stay with the lane, which has four queries, LANES apart, and takes the keys LANES at a time.
 * Loads and stores stand in loops as long as a uniform says, so that they aren't unrolled: compiling one costs as much as 30 multiply-adds.
 * Those loops, and that over the keys, are tested at their end, as attentionSoftware's.
 */
export const attentionSoftwareNarrow = defineKernel({
  name: "attention",
  rung: "software-narrow",
  buffers: {
    q: { access: "read", vec: 4 },
    k: { access: "read", vec: 4 },
    v: { access: "read", vec: 4 },
    y: { access: "write", type: "f32", vec: 4 },
    ...ticketBuffer,
  },
  uniforms: { ...attentionUniforms, query_blocks: "u32", ...ticketUniforms },
  tunables: { LANES: 8, COLUMNS: 2 },
  features: ["subgroups"],
  snippets: [ticketMain],
  wgsl: /* wgsl */ `
    const QUERIES = 4u * LANES;                                      // of a tile
    const ROWS = 4u * COLUMNS;                                       // a lane's quads of q, query by query

    // x of every lane.
    fn spread(x: vec4f) -> array<vec4f, LANES> {
      var all: array<vec4f, LANES>;
      all[0] = subgroupBroadcast(x, 0u);
      all[1] = subgroupBroadcast(x, 1u);
      all[2] = subgroupBroadcast(x, 2u);
      all[3] = subgroupBroadcast(x, 3u);
      if (LANES == 8u) {                                             // the remainder only keeps unused indices in range
        all[4u % LANES] = subgroupBroadcast(x, 4u);
        all[5u % LANES] = subgroupBroadcast(x, 5u);
        all[6u % LANES] = subgroupBroadcast(x, 6u);
        all[7u % LANES] = subgroupBroadcast(x, 7u);
      }
      return all;
    }

    fn compute_tile(tile: u32, lane: u32) {
      let block = tile % uniforms.query_blocks;
      let head = tile / uniforms.query_blocks % uniforms.heads;
      let sample = tile / (uniforms.query_blocks * uniforms.heads);
      let first = block * QUERIES + lane;
      let query = first + LANES * vec4u(0u, 1u, 2u, 3u);
      let causal = uniforms.causal != 0u;
      let seen = min(select(vec4u(uniforms.keys), query + 1u, vec4<bool>(causal)), vec4u(uniforms.keys));
      let end = select(uniforms.keys, min(uniforms.keys, block * QUERIES + QUERIES), causal);

      var rows: array<vec4f, ROWS>;
      var i = 0u;
      loop {
        let row = sample * uniforms.queries + min(first + i / COLUMNS * LANES, uniforms.queries - 1u);
        let x = q[row * uniforms.q_width + uniforms.q_column + head * uniforms.head_dim + i % COLUMNS];
        rows[i] = vec4f(x) * uniforms.scale;
        continuing {
          i++;
          break if i >= 4u * uniforms.head_dim;
        }
      }

      var sums: array<vec4f, ROWS>;
      var largest = vec4f(-3.4e38);                                  // online softmax (Milakov and Gimelshein 2018), by query
      var total = vec4f();
      var key = 0u;
      loop {
        let row = sample * uniforms.keys + min(key + lane, uniforms.keys - 1u);
        let k_at = row * uniforms.k_width + uniforms.k_column + head * uniforms.head_dim;
        let v_at = row * uniforms.v_width + uniforms.v_column + head * uniforms.head_dim;
        var quads = array<vec4f, COLUMNS>();                         // of the lane's key; spelt out as Dawn clears a bare var only once
        var load = 0u;
        loop {
          for (var n = 1u; n < COLUMNS; n++) { quads[n - 1u] = quads[n]; }
          quads[COLUMNS - 1u] = vec4f(k[k_at + load]);
          continuing {
            load++;
            break if load >= uniforms.head_dim;
          }
        }
        var scores = array<vec4f, LANES>();
        for (var c = 0u; c < COLUMNS; c++) {
          let keys = spread(quads[c]);
          let column = transpose(mat4x4f(rows[c], rows[COLUMNS + c], rows[2u * COLUMNS + c], rows[3u * COLUMNS + c]));
          for (var j = 0u; j < LANES; j++) {
            for (var e = 0u; e < 4u; e++) { scores[j] = fma(vec4f(keys[j][e]), column[e], scores[j]); }
          }
        }

        let before = largest;
        for (var j = 0u; j < LANES; j++) {
          scores[j] = select(vec4f(-3.4e38), scores[j], vec4u(key + j) < seen);
          largest = max(largest, scores[j]);
        }
        let keep = exp2(before - largest);
        total *= keep;
        for (var j = 0u; j < LANES; j++) {
          scores[j] = exp2(scores[j] - largest);
          total += scores[j];
        }

        load = 0u;
        loop {
          for (var n = 1u; n < COLUMNS; n++) { quads[n - 1u] = quads[n]; }
          quads[COLUMNS - 1u] = vec4f(v[v_at + load]);
          continuing {
            load++;
            break if load >= uniforms.head_dim;
          }
        }
        for (var c = 0u; c < COLUMNS; c++) {
          let values = spread(quads[c]);
          for (var r = 0u; r < 4u; r++) {
            var sum = sums[r * COLUMNS + c] * keep[r];
            for (var j = 0u; j < LANES; j++) { sum = fma(vec4f(scores[j][r]), values[j], sum); }
            sums[r * COLUMNS + c] = sum;
          }
        }
        continuing {
          key += LANES;
          break if key >= end;
        }
      }

      i = 0u;
      loop {
        let row = first + i / COLUMNS * LANES;
        if (row < uniforms.queries) {
          y[((sample * uniforms.queries + row) * uniforms.heads + head) * uniforms.head_dim + i % COLUMNS] = sums[0] / total[0];
        }
        for (var n = 1u; n < ROWS; n++) { sums[n - 1u] = sums[n]; }  // what comes next moves to the front: no index at run time
        if (i % COLUMNS == COLUMNS - 1u) { total = total.yzww; }
        continuing {
          i++;
          break if i >= 4u * uniforms.head_dim;
        }
      }
    }`,
});
