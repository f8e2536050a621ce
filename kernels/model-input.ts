/** @file From the sampler's latent (f32) to the U-Net's input: scaled, in storage type, once for each half of the CFG batch. */
import { defineKernel, perElement, ShapeError, slotBegin, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex } from "./snippets.ts";

/** One invocation an element of y, which is the latent `copies` times over. The latent begins at element `begin` of its buffer. */
export const modelInputKernel = defineKernel({
  name: "model-input",
  buffers: { latent: { access: "read", type: "f32" }, factor: { access: "read", type: "f32", optional: true }, y: "write" },
  uniforms: { begin: "u32", count: "u32", copies: "u32", constant_factor: "f32" },
  flags: { FACTOR_BUFFER: false },
  snippets: [flatIndex],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count * uniforms.copies) { return; }
      var scale = uniforms.constant_factor;
      if (FACTOR_BUFFER) { scale = factor[0]; }
      y[i] = Element(scale * latent[uniforms.begin + i % uniforms.count]);
    }`,
});

export interface ModelInputOptions {
  /** c_in of the parameterisation (Karras et al. 2022, table 1): a number, or an f32 tensor [1] where it changes in a replay. Default 1. */
  readonly factor?: number | Tensor;
  /** How often the batch is repeated: 2 for CFG. Default 1. */
  readonly copies?: number;
  /** Storage of the result. Default: the device's. */
  readonly dtype?: "f32" | "f16";
  /** A tensor to write to, [copies * N, H, W, C], where a capture reads its input. Default: a new one. */
  readonly into?: Tensor;
}

/** latent f32 [N, H, W, C] -> factor * latent, [copies * N, H, W, C]. Throws a ShapeError where `into` or `factor` has another size. */
export function modelInput(
  latent: Tensor,
  { factor = 1, copies = 1, dtype = latent.device.storage, into }: ModelInputOptions = {},
): Tensor {
  if (typeof factor !== "number" && factor.size !== 1)
    throw new ShapeError(`modelInput: factor must be one number, but is ${factor.label}`);
  const y = into ?? latent.device.empty([copies * latent.shape[0]!, ...latent.shape.slice(1)], dtype, "modelInput");
  if (y.size !== copies * latent.size)
    throw new ShapeError(`modelInput: ${copies} times ${latent.label} do not fit into ${y.label}`);
  const constant = typeof factor === "number";
  const { slots } = latent.allocation;
  const launch = (latent: Tensor, y: Tensor, begin: number, count: number) => {
    modelInputKernel.launch(
      { latent, factor: constant ? undefined : factor, y },
      { begin, count, copies, constant_factor: constant ? factor : 1 },
      perElement(copies * count),
      { flags: { FACTOR_BUFFER: !constant } },
    );
  };
  // Latents are small; a picture on its way to the encoder may not be.
  if (slots || copies > 1) launch(slots?.whole ?? latent, y, slots ? slotBegin(latent) : 0, latent.size);
  else inBands("modelInput", latent.size, { latent, y }, (band, count) => launch(band.latent, band.y, 0, count));
  return y;
}
