/** @file A range of columns as a tensor of its own. */
import { defineKernel, expectShape, perElement, ShapeError, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element of y. */
export const columnsKernel = defineKernel({
  name: "columns",
  buffers: { x: "read", y: "write" },
  uniforms: { rows: "u32", width: "u32", first: "u32", count: "u32" },
  moves: true,
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.count) { return; }
      y[i] = x[i / uniforms.count * uniforms.width + uniforms.first + i % uniforms.count];
    }`,
});

/** x [..., W] -> [..., count], columns `first` to `first + count` of every row. Throws a ShapeError where rows have fewer. */
export function columns(x: Tensor, first: number, count: number): Tensor {
  const { rows, width } = expectShape("columns", x, ["...rows", "width"]);
  if (first < 0 || count < 1 || first + count > width)
    throw new ShapeError(`columns: ${first}..${first + count} lie outside 0..${width}, the columns of ${x.label}`);
  const y = x.device.empty([...x.shape.slice(0, -1), count], x.dtype, "columns");
  inBands("columns", rows, { x, y }, (band, rows) => {
    columnsKernel.launch(band, { rows, width, first, count }, perElement(rows * count));
  });
  return y;
}
