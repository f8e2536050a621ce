/** @file The second pass of a product whose inner numbers were cut into slices: adds up the slices' sums, then the epilogue. */
import { type Device, defineKernel, perElement, type Tensor } from "../../engine/index.ts";
import { activationCode, flatIndex } from "../snippets.ts";
import { type EpilogueOptions, epilogue, epilogueBuffers, epilogueTerms, epilogueUniforms } from "./epilogue.ts";

/**
 * slabs [slices, slab_rows, slab_quads] -> y [rows, quads]; rows and columns of a slab past the output's are ignored. The order of
 * the sum is fixed, so that the same input gives the same bits. `sample_rows`: rows of one sample, for the epilogue's channel_add.
 */
export const matmulSlabs = defineKernel({
  name: "matmul",
  rung: "slabs",
  buffers: { slabs: { access: "read", type: "f32", vec: 4 }, y: { access: "write", vec: 4 }, ...epilogueBuffers },
  uniforms: {
    rows: "u32",
    quads: "u32",
    slices: "u32",
    slab_rows: "u32",
    slab_quads: "u32",
    sample_rows: "u32",
    ...epilogueUniforms,
  },
  tunables: { ACTIVATION: 0 },
  snippets: [flatIndex, epilogue],
  wgsl: /* wgsl */ `
    fn sample_of(row: u32) -> u32 { return row / uniforms.sample_rows; }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.rows * uniforms.quads) { return; }
      let row = i / uniforms.quads;
      let quad = i % uniforms.quads;
      var sum = vec4f();
      for (var slice = 0u; slice < uniforms.slices; slice++) {
        sum += slabs[(slice * uniforms.slab_rows + row) * uniforms.slab_quads + quad];
      }
      y[i] = Element4(epilogue(sum, bias_of(quad), row, quad));
    }`,
});

/** How a product was cut up: into slices, and into down x across tiles of rows x columns. */
export interface Slabs {
  readonly slices: number;
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly columns: number;
}

/** Memory for the sums of all slices: [slices, rows, columns], both rounded up to whole tiles. */
export function emptySlabs(device: Device, { slices, rows, columns, down, across }: Slabs): Tensor {
  return device.empty([slices, down * rows, across * columns], "f32", "slabs");
}

export interface SlabSum extends EpilogueOptions {
  readonly channelAdd?: Tensor | undefined;
  readonly channelAddColumn?: number | undefined;
  readonly rows: number;
  readonly columns: number;
  readonly sampleRows: number;
}

/** y [rows, columns] = epilogue(sum of the slabs). */
export function addSlabs(slabs: Tensor, y: Tensor, sum: SlabSum, plan: Slabs): void {
  const { bias, residual, channelAdd: channel_add, channelAddColumn, activation = "none", rows, columns, sampleRows } = sum;
  const uniforms = {
    rows,
    quads: columns / 4,
    slices: plan.slices,
    slab_rows: plan.down * plan.rows,
    slab_quads: (plan.across * plan.columns) / 4,
    sample_rows: sampleRows,
    ...epilogueTerms({ bias, channel_add, residual }, 4, channelAddColumn),
  };
  matmulSlabs.launch({ slabs, y, bias, channel_add, residual }, uniforms, perElement((rows * columns) / 4), {
    tunables: { ACTIVATION: activationCode[activation] },
  });
}
