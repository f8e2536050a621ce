/**
 * @file The yardstick for software rungs: a plain register tile of 4 rows by 4 columns an invocation, workgroups of 8x8, straight
 * from global memory. What one writes first for a GPU, and what limn's software rung is held against. Not part of any ladder.
 */
import { defineKernel, type Tensor } from "../engine/index.ts";

export const plainTileMatmul = defineKernel({
  name: "plain-tile-matmul",
  buffers: { x: { access: "read", vec: 4 }, weight: { access: "read", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { rows: "u32", inner_quads: "u32", quads: "u32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(8, 8)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let row = id.y * 4u;
      let quad = id.x;
      if (row >= uniforms.rows || quad >= uniforms.quads) { return; }
      var sums = mat4x4f();
      for (var k = 0u; k < uniforms.inner_quads; k++) {
        let b0 = vec4f(weight[(4u * k + 0u) * uniforms.quads + quad]);
        let b1 = vec4f(weight[(4u * k + 1u) * uniforms.quads + quad]);
        let b2 = vec4f(weight[(4u * k + 2u) * uniforms.quads + quad]);
        let b3 = vec4f(weight[(4u * k + 3u) * uniforms.quads + quad]);
        for (var r = 0u; r < 4u; r++) {
          let a = vec4f(x[min(row + r, uniforms.rows - 1u) * uniforms.inner_quads + k]);
          sums[r] += a.x * b0 + a.y * b1 + a.z * b2 + a.w * b3;
        }
      }
      for (var r = 0u; r < 4u; r++) {
        if (row + r < uniforms.rows) { y[(row + r) * uniforms.quads + quad] = Element4(sums[r]); }
      }
    }`,
});

/** The same tile over pixels of one image, 3x3 with padding 1. */
export const plainTileConv = defineKernel({
  name: "plain-tile-conv",
  buffers: { x: { access: "read", vec: 4 }, weight: { access: "read", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { side: "u32", inner_quads: "u32", quads: "u32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(8, 8)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let pixel = id.y * 4u;
      let quad = id.x;
      let side = i32(uniforms.side);
      if (pixel >= uniforms.side * uniforms.side || quad >= uniforms.quads) { return; }
      var sums = mat4x4f();
      for (var dy = 0; dy < 3; dy++) {
        for (var dx = 0; dx < 3; dx++) {
          for (var k = 0u; k < uniforms.inner_quads; k++) {
            let w = (u32(dy * 3 + dx) * 4u * uniforms.inner_quads + 4u * k) * uniforms.quads + quad;
            let b0 = vec4f(weight[w]);
            let b1 = vec4f(weight[w + uniforms.quads]);
            let b2 = vec4f(weight[w + 2u * uniforms.quads]);
            let b3 = vec4f(weight[w + 3u * uniforms.quads]);
            for (var r = 0u; r < 4u; r++) {
              let row = i32(pixel + r) / side + dy - 1;
              let column = i32(pixel + r) % side + dx - 1;
              if (row < 0 || column < 0 || row >= side || column >= side) { continue; }
              let a = vec4f(x[u32(row * side + column) * uniforms.inner_quads + k]);
              sums[r] += a.x * b0 + a.y * b1 + a.z * b2 + a.w * b3;
            }
          }
        }
      }
      for (var r = 0u; r < 4u; r++) {
        if (pixel + r < uniforms.side * uniforms.side) { y[(pixel + r) * uniforms.quads + quad] = Element4(sums[r]); }
      }
    }`,
});

/** x [M, K] or [1, S, S, C], weight [K, N] or [3, 3, C, O]; sizes in fours. undefined for a shape it can't do. */
export function plainTile([x, weight]: readonly Tensor[]): Tensor | undefined {
  if (!x || !weight || x.dtype !== weight.dtype) return undefined;
  const inner = x.shape.at(-1)!;
  const columns = weight.shape.at(-1)!;
  const rows = x.size / inner;
  if (inner % 4 !== 0 || columns % 4 !== 0) return undefined;
  const sizes = { inner_quads: inner / 4, quads: columns / 4 };
  const grid = [Math.ceil(columns / 32), Math.ceil(rows / 32)] as const;
  const y = x.device.empty([...x.shape.slice(0, -1), columns], x.dtype);
  if (weight.shape.length === 2) plainTileMatmul.launch({ x, weight, y }, { rows, ...sizes }, grid);
  else if (weight.shape[0] === 3 && x.shape[0] === 1 && rows % 4 === 0)
    plainTileConv.launch({ x, weight, y }, { side: x.shape[1]!, ...sizes }, grid);
  else return undefined;
  return y;
}
