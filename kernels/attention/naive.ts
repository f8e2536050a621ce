/** @file Attention, the readable rung: any shape, no workgroup memory. */
import { defineKernel, perElement, type Tensor } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";
import { type AttentionProblem, attentionUniforms } from "./problem.ts";

/**
 * y = softmax(scale q k^T) v in one pass over the keys (online softmax: Milakov and Gimelshein 2018, algorithm 3). One invocation
 * for each query, head and block of COLUMNS result columns; blocks of one head compute the same scores.
 */
export const attentionNaive = defineKernel({
  name: "attention",
  rung: "naive",
  buffers: { q: "read", k: "read", v: "read", y: "write" },
  uniforms: attentionUniforms,
  tunables: { COLUMNS: 8 },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      let dims = uniforms.head_dim;
      let blocks = (dims + COLUMNS - 1u) / COLUMNS;
      let row = i / (blocks * uniforms.heads);                       // sample * queries + query
      if (row >= uniforms.batch * uniforms.queries) { return; }
      let first = (i % blocks) * COLUMNS;                            // of the head's columns
      let head = (i / blocks) % uniforms.heads;
      let sample = row / uniforms.queries;
      let seen = select(uniforms.keys, row % uniforms.queries + 1u, uniforms.causal != 0u);
      let q_at = row * uniforms.q_width + uniforms.q_column + head * dims;

      var largest = -3.4e38;                                         // of the scores so far
      var total = 0.0;                                               // sum of exp(score - largest)
      var sums: array<f32, COLUMNS>;                                 // the same, weighted with v
      for (var key = 0u; key < seen; key++) {
        let k_at = (sample * uniforms.keys + key) * uniforms.k_width + uniforms.k_column + head * dims;
        let v_at = (sample * uniforms.keys + key) * uniforms.v_width + uniforms.v_column + head * dims;
        var score = 0.0;
        for (var d = 0u; d < dims; d++) { score += f32(q[q_at + d]) * f32(k[k_at + d]); }
        score *= uniforms.scale;
        let before = largest;
        largest = max(before, score);
        let keep = exp(before - largest);                            // corrects what was summed under a smaller maximum
        let weight = exp(score - largest);
        total = total * keep + weight;
        for (var c = 0u; c < COLUMNS; c++) {
          sums[c] = sums[c] * keep + weight * f32(v[v_at + min(first + c, dims - 1u)]);
        }
      }
      let y_at = (row * uniforms.heads + head) * dims + first;
      for (var c = 0u; c < COLUMNS; c++) {
        if (first + c < dims) { y[y_at + c] = Element(sums[c] / total); }
      }
    }`,
});

export function naive({ q, k, v, sizes }: AttentionProblem): Tensor {
  const { batch, queries, heads, head_dim } = sizes;
  const y = q.device.empty([batch, queries, heads * head_dim], q.dtype, "attention");
  const blocks = Math.ceil(head_dim / 8);
  attentionNaive.launch({ q, k, v, y }, sizes, perElement(batch * queries * heads * blocks), { tunables: { COLUMNS: 8 } });
  return y;
}
