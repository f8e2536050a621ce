/** @file Attention for GPUs without subgroup matrices: tiles in workgroup memory and registers. */
import { defineKernel, type Tensor } from "../../engine/index.ts";
import { type AttentionProblem, attentionUniforms, inQuads, quadSizes } from "./problem.ts";

/**
 * Flash attention (Dao et al. 2022): a workgroup takes QUERIES queries of one head and walks over the keys in tiles of 64.
 *
 * 16 lanes side by side, each with 4 queries. Scores: 4 queries x 4 keys in a lane's registers, from q and k staged in workgroup
 * memory, 8 columns at a time. Their exponentials go through workgroup memory. Result: 4 queries x COLUMNS vec4 columns in a
 * lane's registers, with v read straight from the buffer (16 lanes read one row; the other lanes of the workgroup find it in the cache).
 * 13 KiB of workgroup memory with 32 queries (128 invocations), 24 KiB with 64 (256). No subgroups. Widths and columns count vec4.
 */
export const attentionTiled = defineKernel({
  name: "attention",
  rung: "tiled",
  buffers: {
    q: { access: "read", vec: 4 },
    k: { access: "read", vec: 4 },
    v: { access: "read", vec: 4 },
    y: { access: "write", vec: 4 },
  },
  uniforms: attentionUniforms,
  tunables: { QUERIES: 32, COLUMNS: 1, WORKGROUP_SIZE: 128 },
  wgsl: /* wgsl */ `
    const KEYS = 64u;                                                // of a tile: 4 a lane, 16 apart
    const STEP = 2u;                                                 // vec4 columns of q and k staged at once
    const QUADS = QUERIES / 4u;                                      // of queries

    var<workgroup> q_tile: array<vec4f, STEP * QUERIES>;             // [column][query]
    var<workgroup> k_tile: array<vec4f, STEP * KEYS>;                // [column][key]
    var<workgroup> weights: array<vec4f, QUERIES * 16u>;             // [query][lane]: a lane's four keys
    var<workgroup> shares: array<vec4f, 16u * QUADS>;                // [lane][quad of queries]: maxima, then sums

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
      let lane = local % 16u;
      let quad = local / 16u;
      let head = group.y;
      let sample = group.z;
      let dims = uniforms.head_dim;
      let first = group.x * QUERIES;
      let causal = uniforms.causal != 0u;
      let end = select(uniforms.keys, min(uniforms.keys, first + QUERIES), causal);
      let q_at = sample * uniforms.queries * uniforms.q_width + uniforms.q_column + head * dims;
      let k_at = sample * uniforms.keys * uniforms.k_width + uniforms.k_column + head * dims;
      let v_at = sample * uniforms.keys * uniforms.v_width + uniforms.v_column + head * dims;

      var largest = vec4f(-3.4e38);                                  // online softmax (Milakov and Gimelshein 2018), by query
      var total = vec4f();                                           // of this lane's keys only
      var sums: array<array<vec4f, COLUMNS>, 4>;                     // [query][column]
      for (var key = 0u; key < end; key += KEYS) {
        var scores = array<vec4f, 4>();                              // [query][key]; Dawn (webgpu 0.6.2) clears a bare var only once
        for (var c = 0u; c < dims; c += STEP) {
          workgroupBarrier();
          for (var i = local; i < STEP * QUERIES; i += WORKGROUP_SIZE) {
            let column = c + i % STEP;
            let query = min(first + i / STEP, uniforms.queries - 1u);
            let value = vec4f(q[q_at + query * uniforms.q_width + min(column, dims - 1u)]);
            q_tile[(i % STEP) * QUERIES + i / STEP] = select(vec4f(), value * uniforms.scale, column < dims);
          }
          for (var i = local; i < STEP * KEYS; i += WORKGROUP_SIZE) {
            let column = c + i % STEP;
            let row = min(key + i / STEP, uniforms.keys - 1u);
            let value = vec4f(k[k_at + row * uniforms.k_width + min(column, dims - 1u)]);
            k_tile[(i % STEP) * KEYS + i / STEP] = select(vec4f(), value, column < dims);
          }
          workgroupBarrier();
          for (var s = 0u; s < STEP; s++) {
            let k0 = k_tile[s * KEYS + lane];
            let k1 = k_tile[s * KEYS + lane + 16u];
            let k2 = k_tile[s * KEYS + lane + 32u];
            let k3 = k_tile[s * KEYS + lane + 48u];
            for (var r = 0u; r < 4u; r++) {
              let x = q_tile[s * QUERIES + quad * 4u + r];
              scores[r] += vec4f(dot(x, k0), dot(x, k1), dot(x, k2), dot(x, k3));
            }
          }
        }

        let own = vec4u(key + lane) + vec4u(0u, 16u, 32u, 48u);      // this lane's keys
        var top: vec4f;
        for (var r = 0u; r < 4u; r++) {
          let seen = select(uniforms.keys, min(uniforms.keys, first + quad * 4u + r + 1u), causal);
          scores[r] = select(vec4f(-3.4e38), scores[r], own < vec4u(seen));
          top[r] = max(max(scores[r].x, scores[r].y), max(scores[r].z, scores[r].w));
        }
        shares[lane * QUADS + quad] = top;
        workgroupBarrier();
        let before = largest;
        let lanes = min(end - key, 16u);                             // that have a key of this tile
        for (var i = 0u; i < lanes; i++) { largest = max(largest, shares[i * QUADS + quad]); }
        let keep = exp2(before - largest);
        total *= keep;
        for (var r = 0u; r < 4u; r++) {
          let weight = exp2(scores[r] - largest[r]);
          weights[(quad * 4u + r) * 16u + lane] = weight;
          total[r] += dot(weight, vec4f(1.0));
          for (var c = 0u; c < COLUMNS; c++) { sums[r][c] *= keep[r]; }
        }
        workgroupBarrier();

        for (var i = 0u; i < lanes; i++) {
          let w0 = weights[(quad * 4u) * 16u + i];
          let w1 = weights[(quad * 4u + 1u) * 16u + i];
          let w2 = weights[(quad * 4u + 2u) * 16u + i];
          let w3 = weights[(quad * 4u + 3u) * 16u + i];
          for (var s = 0u; s < 4u; s++) {
            let row = min(key + i + 16u * s, uniforms.keys - 1u);
            for (var c = 0u; c < COLUMNS; c++) {
              let value = vec4f(v[v_at + row * uniforms.v_width + min(lane + 16u * c, dims - 1u)]);
              sums[0][c] += w0[s] * value;
              sums[1][c] += w1[s] * value;
              sums[2][c] += w2[s] * value;
              sums[3][c] += w3[s] * value;
            }
          }
        }
      }

      shares[lane * QUADS + quad] = total;
      workgroupBarrier();
      total = vec4f();
      for (var i = 0u; i < min(end, 16u); i++) { total += shares[i * QUADS + quad]; }
      for (var r = 0u; r < 4u; r++) {
        let query = first + quad * 4u + r;
        for (var c = 0u; c < COLUMNS; c++) {
          let column = lane + 16u * c;
          if (query < uniforms.queries && column < dims) {
            y[((sample * uniforms.queries + query) * uniforms.heads + head) * dims + column] = Element4(sums[r][c] / total[r]);
          }
        }
      }
    }`,
});

/** Whether this rung can run: columns in fours, heads of at most 512 (their sums stay in registers). */
export function tiledFits(problem: AttentionProblem): boolean {
  return inQuads(problem) && problem.sizes.head_dim <= 512;
}

export interface TiledTunables {
  readonly QUERIES: 32 | 64;
  /** At least head_dim / 64, rounded up. */
  readonly COLUMNS: 1 | 2 | 3 | 8;
}

export function tiled(problem: AttentionProblem, { QUERIES, COLUMNS } = tiledTunables(problem)): Tensor {
  const { q, k, v } = problem;
  const { batch, queries, heads, head_dim } = problem.sizes;
  const y = q.device.empty([batch, queries, heads * head_dim], q.dtype, "attention");
  attentionTiled.launch({ q, k, v, y }, quadSizes(problem), [Math.ceil(queries / QUERIES), heads, batch], {
    tunables: { QUERIES, COLUMNS, WORKGROUP_SIZE: 4 * QUERIES },
  });
  return y;
}

/** 64 queries a workgroup where it may have the memory, enough workgroups are left to fill a GPU, and heads aren't wide; else 32. */
function tiledTunables({ q, sizes }: AttentionProblem): TiledTunables {
  const { batch, heads, queries, head_dim } = sizes;
  const COLUMNS = ([1, 2, 3] as const).find((columns) => head_dim <= 64 * columns) ?? 8;
  const roomy = q.device.limits.maxComputeWorkgroupStorageSize >= 24576;
  return { QUERIES: roomy && COLUMNS < 8 && Math.ceil(queries / 64) * heads * batch >= 256 ? 64 : 32, COLUMNS };
}
