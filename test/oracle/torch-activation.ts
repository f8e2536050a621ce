/** @file torch.nn's activations in f64, each as its documentation defines it, with its default constants. */
import { activations } from "./elementwise.ts";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => (x > 30 ? x : Math.log1p(Math.exp(x)));

export const torchActivations: Readonly<Record<string, (x: number) => number>> = {
  relu: (x) => (x > 0 ? x : 0),
  relu6: (x) => Math.min(Math.max(0, x), 6),
  leakyrelu: (x) => (x >= 0 ? x : 0.01 * x),
  rrelu: (x) => (x >= 0 ? x : ((1 / 8 + 1 / 3) / 2) * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  selu: (x) => 1.0507009873554805 * (Math.max(0, x) + Math.min(0, 1.6732632423543772 * Math.expm1(x))),
  gelu: activations.gelu,
  silu: activations.silu,
  mish: (x) => x * Math.tanh(softplus(x)),
  hardswish: (x) => (x <= -3 ? 0 : x >= 3 ? x : (x * (x + 3)) / 6),
  tanh: Math.tanh,
  sigmoid,
  logsigmoid: (x) => Math.log(sigmoid(x)),
  hardsigmoid: (x) => (x <= -3 ? 0 : x >= 3 ? 1 : x / 6 + 0.5),
  hardtanh: (x) => (x > 1 ? 1 : x < -1 ? -1 : x),
  softplus,
  softsign: (x) => x / (1 + Math.abs(x)),
  softshrink: (x) => (x > 0.5 ? x - 0.5 : x < -0.5 ? x + 0.5 : 0),
  hardshrink: (x) => (x > 0.5 || x < -0.5 ? x : 0),
  tanhshrink: (x) => x - Math.tanh(x),
};
