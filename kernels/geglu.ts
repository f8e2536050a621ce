/** @file GEGLU gate (Shazeer 2020): y = a * gelu(b), where each row of x is the pair a | b. */
import { defineKernel, expectShape, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex, gelu } from "./snippets.ts";

/** One invocation an element of y. */
export const gegluNaive = defineKernel({
  name: "geglu",
  rung: "naive",
  buffers: { x: "read", y: "write" },
  uniforms: { rows: "u32", width: "u32" },
  snippets: [flatIndex, gelu],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.width) { return; }
      let row = i / uniforms.width;
      let a = f32(x[i + row * uniforms.width]);            // left half of the row
      let b = f32(x[i + (row + 1u) * uniforms.width]);     // right half
      y[i] = Element(a * gelu(b));
    }`,
});

/** One invocation for four neighbours in a row; `width` counts vectors. */
export const gegluVec4 = defineKernel({
  name: "geglu",
  rung: "vec4",
  buffers: { x: { access: "read", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { rows: "u32", width: "u32" },
  snippets: [flatIndex, gelu],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.width) { return; }
      let row = i / uniforms.width;
      let a = vec4f(x[i + row * uniforms.width]);
      let b = vec4f(x[i + (row + 1u) * uniforms.width]);
      y[i] = Element4(a * gelu4(b));
    }`,
});

/** x [..., 2 * width] -> y [..., width] = x[..., :width] * gelu(x[..., width:]). Throws a ShapeError for an odd last axis. */
export function geglu(x: Tensor): Tensor {
  const { rows, pair } = expectShape("geglu", x, ["...rows", "pair"], { even: "pair" });
  const width = pair / 2;
  const y = x.device.empty([...x.shape.slice(0, -1), width], x.dtype, "geglu");
  inBands("geglu", rows, { x, y }, (band, rows) => {
    if (width % 4 === 0 && x.device.accepts("geglu/vec4"))
      gegluVec4.launch(band, { rows, width: width / 4 }, perElement((rows * width) / 4));
    else gegluNaive.launch(band, { rows, width }, perElement(rows * width));
  });
  return y;
}
