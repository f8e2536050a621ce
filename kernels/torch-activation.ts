/** @file The activations of `torch.nn` that hypernetworks were trained with: rarely run, so one plain kernel for all. */
import { defineKernel, perElement, type Tensor } from "../engine/index.ts";
import { inBands } from "./bands.ts";
import { flatIndex, gelu, silu } from "./snippets.ts";

/** In the order of the tunable FUNCTION; names are those of the classes in torch.nn, in lower case. */
export const torchActivations = [
  "relu",
  "relu6",
  "leakyrelu",
  "rrelu",
  "elu",
  "selu",
  "gelu",
  "silu",
  "mish",
  "hardswish",
  "tanh",
  "sigmoid",
  "logsigmoid",
  "hardsigmoid",
  "hardtanh",
  "softplus",
  "softsign",
  "softshrink",
  "hardshrink",
  "tanhshrink",
] as const;

export type TorchActivation = (typeof torchActivations)[number];

/** Constants are torch's defaults; rrelu is what it is outside of training: the mean of its slopes. */
export const torchActivationKernel = defineKernel({
  name: "torch_activation",
  buffers: { x: "read", y: "write" },
  uniforms: { count: "u32" },
  tunables: { FUNCTION: 0 },
  snippets: [flatIndex, gelu, silu],
  wgsl: /* wgsl */ `
    fn softplus(x: f32) -> f32 {
      return max(x, 0.0) + log(1.0 + exp(-abs(x)));
    }
    fn bounded_tanh(x: f32) -> f32 {
      return tanh(clamp(x, -15.0, 15.0));                       // some drivers overflow beyond
    }
    fn elu(x: f32) -> f32 {
      return select(x, exp(min(x, 0.0)) - 1.0, x < 0.0);
    }
    fn apply(x: f32) -> f32 {
      switch FUNCTION {
        case 0u: { return max(x, 0.0); }                        // relu
        case 1u: { return clamp(x, 0.0, 6.0); }                 // relu6
        case 2u: { return max(x, 0.01 * x); }                   // leakyrelu
        case 3u: { return max(x, 0.22916667 * x); }             // rrelu
        case 4u: { return elu(x); }                             // elu
        case 5u: { return 1.0507010 * select(x, 1.6732632 * elu(x), x < 0.0); } // selu
        case 6u: { return gelu(x); }                            // gelu
        case 7u: { return silu(x); }                            // silu
        case 8u: { return x * bounded_tanh(softplus(x)); }      // mish
        case 9u: { return x * clamp(x + 3.0, 0.0, 6.0) / 6.0; } // hardswish
        case 10u: { return bounded_tanh(x); }                   // tanh
        case 11u: { return 1.0 / (1.0 + exp(min(-x, 80.0))); }  // sigmoid
        case 12u: { return -softplus(-x); }                     // logsigmoid
        case 13u: { return clamp(x + 3.0, 0.0, 6.0) / 6.0; }    // hardsigmoid
        case 14u: { return clamp(x, -1.0, 1.0); }               // hardtanh
        case 15u: { return softplus(x); }                       // softplus
        case 16u: { return x / (1.0 + abs(x)); }                // softsign
        case 17u: { return sign(x) * max(abs(x) - 0.5, 0.0); }  // softshrink
        case 18u: { return select(0.0, x, abs(x) > 0.5); }      // hardshrink
        default: { return x - bounded_tanh(x); }                // tanhshrink
      }
    }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = flat_index(id, grid);
      if (i >= uniforms.count) { return; }
      y[i] = Element(apply(f32(x[i])));
    }`,
});

/** y = f(x) element by element, any shape. */
export function torchActivation(x: Tensor, name: TorchActivation): Tensor {
  const y = x.device.empty(x.shape, x.dtype, name);
  const options = { tunables: { FUNCTION: torchActivations.indexOf(name) } };
  inBands(name, x.size, { x, y }, (band, count) => torchActivationKernel.launch(band, { count }, perElement(count), options));
  return y;
}
