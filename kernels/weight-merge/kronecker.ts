/** @file Two products of small matrices that low-rank adapters are made of: Kronecker's and Hadamard's. */
import { defineKernel, expectSameShape, expectShape, perElement, type Tensor } from "../../engine/index.ts";
import { flatIndex } from "../snippets.ts";

export const kroneckerKernel = defineKernel({
  name: "kronecker",
  buffers: { a: { access: "read", type: "f32" }, b: { access: "read", type: "f32" }, y: { access: "write", type: "f32" } },
  uniforms: { rows: "u32", columns: "u32", b_rows: "u32", b_columns: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.columns) { return; }
      let row = i / uniforms.columns;
      let column = i % uniforms.columns;
      let of_a = (row / uniforms.b_rows) * (uniforms.columns / uniforms.b_columns) + column / uniforms.b_columns;
      let of_b = (row % uniforms.b_rows) * uniforms.b_columns + column % uniforms.b_columns;
      y[i] = a[of_a] * b[of_b];
    }`,
});

export const hadamardKernel = defineKernel({
  name: "hadamard",
  buffers: { a: { access: "read", type: "f32" }, b: { access: "read", type: "f32" }, y: { access: "write", type: "f32" } },
  uniforms: { count: "u32" },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = a[i] * b[i];
    }`,
});

/** f32 a [A, B], b [C, D] -> [A C, B D]: element (a C + c, b D + d) is a[a, b] b[c, d]. */
export function kronecker(a: Tensor, b: Tensor): Tensor {
  const left = expectShape("kronecker", a, ["rows", "columns"]);
  const right = expectShape("kronecker", b, ["rows", "columns"]);
  const [rows, columns] = [left.rows * right.rows, left.columns * right.columns];
  const y = a.device.empty([rows, columns], "f32", "kronecker");
  const uniforms = { rows, columns, b_rows: right.rows, b_columns: right.columns };
  kroneckerKernel.launch({ a, b, y }, uniforms, perElement(y.size));
  return y;
}

/** a * b element by element, f32 of one shape. Throws a ShapeError for two shapes. */
export function hadamard(a: Tensor, b: Tensor): Tensor {
  expectSameShape("hadamard", a, b);
  const y = a.device.empty(a.shape, "f32", "hadamard");
  hadamardKernel.launch({ a, b, y }, { count: y.size }, perElement(y.size));
  return y;
}
