/** @file Activations on their own: y = f(x), element by element. GEMM and convolution take the same functions as epilogues. */
import { defineKernel, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { type Activation, activate, activationCode, flatIndex } from "./snippets.ts";

/** One invocation an element. */
export const activationNaive = defineKernel({
  name: "activation",
  rung: "naive",
  buffers: { x: "read", y: "write" },
  uniforms: { count: "u32" },
  tunables: { ACTIVATION: 0 },
  snippets: [flatIndex, activate],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = Element(activate(f32(x[i])));
    }`,
});

/** One invocation for four elements. */
export const activationVec4 = defineKernel({
  name: "activation",
  rung: "vec4",
  buffers: { x: { access: "read", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { count: "u32" },
  tunables: { ACTIVATION: 0 },
  snippets: [flatIndex, activate],
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = Element4(activate4(vec4f(x[i])));
    }`,
});

/** The activation of that name, any shape. */
export function activated(x: Tensor, name: Exclude<Activation, "none">): Tensor {
  const y = x.device.empty(x.shape, x.dtype, name);
  const options = { tunables: { ACTIVATION: activationCode[name] } };
  inBands(name, x.size, { x, y }, (band, count) => {
    if (count % 4 === 0 && x.device.accepts("activation/vec4"))
      activationVec4.launch(band, { count: count / 4 }, perElement(count / 4), options);
    else activationNaive.launch(band, { count }, perElement(count), options);
  });
  return y;
}

/** x * sigmoid(x), any shape (Elfwing et al. 2017). */
export function silu(x: Tensor): Tensor {
  return activated(x, "silu");
}

/** x * Phi(x) with the exact erf, any shape (Hendrycks and Gimpel 2016). */
export function gelu(x: Tensor): Tensor {
  return activated(x, "gelu");
}

/** x * sigmoid(1.702 x), any shape: OpenAI CLIP's activation. */
export function quickGelu(x: Tensor): Tensor {
  return activated(x, "quick_gelu");
}

/** x, or 0.2 x below 0, any shape: ESRGAN's activation. */
export function leakyRelu(x: Tensor): Tensor {
  return activated(x, "leaky_relu");
}
