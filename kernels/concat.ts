/** @file Concatenation along channels: the U-Net's skip connections. */
import { defineKernel, expectShape, perElement, ShapeError, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element of y. */
export const concatNaive = defineKernel({
  name: "concat",
  rung: "naive",
  buffers: { a: "read", b: "read", y: "write" },
  uniforms: { rows: "u32", width_a: "u32", width_b: "u32" },
  moves: true,
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      let width = uniforms.width_a + uniforms.width_b;
      if (i >= uniforms.rows * width) { return; }
      let row = i / width;
      let c = i % width;
      if (c < uniforms.width_a) {
        y[i] = a[row * uniforms.width_a + c];
      } else {
        y[i] = b[row * uniforms.width_b + c - uniforms.width_a];
      }
    }`,
});

/** One invocation for four channels; the widths count vectors. */
export const concatVec4 = defineKernel({
  name: "concat",
  rung: "vec4",
  buffers: { a: { access: "read", vec: 4 }, b: { access: "read", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { rows: "u32", width_a: "u32", width_b: "u32" },
  moves: true,
  snippets: [flatIndex],
  wgsl: concatNaive.spec.wgsl,
});

/** a [..., A], b [..., B] -> [..., A + B]; all axes but the last must agree, and the dtypes too. Throws a ShapeError else. */
export function concat(a: Tensor, b: Tensor): Tensor {
  const { rows, widthA } = expectShape("concat", a, ["...rows", "widthA"]);
  const { widthB } = expectShape("concat", b, ["...rows", "widthB"], { sizes: { rows } });
  if (a.shape.slice(0, -1).join() !== b.shape.slice(0, -1).join()) {
    throw new ShapeError(
      `concat: only the last axes may differ, but a is [${a.shape.join(", ")}] and b is [${b.shape.join(", ")}]`,
    );
  }
  const y = a.device.empty([...a.shape.slice(0, -1), widthA + widthB], a.dtype, "concat");
  inBands("concat", rows, { a, b, y }, (band, rows) => {
    if (widthA % 4 === 0 && widthB % 4 === 0 && a.device.accepts("concat/vec4")) {
      concatVec4.launch(band, { rows, width_a: widthA / 4, width_b: widthB / 4 }, perElement((rows * (widthA + widthB)) / 4));
    } else {
      concatNaive.launch(band, { rows, width_a: widthA, width_b: widthB }, perElement(rows * (widthA + widthB)));
    }
  });
  return y;
}
