/** @file The layers that checkpoints are made of: each holds its weights and calls one kernel. */
import type { Tensor } from "../engine/index.ts";
import {
  type Activation,
  add,
  conv2d,
  conv2dOfTwo,
  groupNorm,
  layerNorm,
  matmul,
  matmulGeglu,
  type Padding,
} from "../kernels/index.ts";
import type { Weights } from "./checkpoint/weights.ts";

export type { Activation };

/** Where a layer is built without a bias: a bias that a file merely lacks must be missed. */
interface Biased {
  readonly bias?: false | undefined;
}

/** y = x W + b over the last axis. `weight` [out, in] in the file, [in, out] on the device. */
export class Linear {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;

  constructor(weights: Weights, { weight = "weight", bias = "bias" }: { weight?: string; bias?: string | false } = {}) {
    this.weight = weights.linear(weight);
    this.bias = bias === false ? undefined : weights.vector(bias);
  }

  /** x [..., in] -> [..., out] */
  forward(x: Tensor, epilogue: { residual?: Tensor | undefined; activation?: Activation } = {}): Tensor {
    return matmul(x, this.weight, { bias: this.bias, ...epilogue });
  }

  /** x [..., in] -> [..., out / 2]: the outputs' first half times GELU of the second (Shazeer 2020). */
  forwardGeglu(x: Tensor): Tensor {
    return matmulGeglu(x, this.weight, { bias: this.bias });
  }
}

/** Several linear layers of one input side by side, so that one GEMM does for all: [in, out1 + out2 + ...]. */
export class FusedLinear {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;

  constructor(weights: Weights, names: readonly string[], { bias }: Biased = {}) {
    this.weight = weights.concatLinear(names.map((name) => `${name}.weight`));
    this.bias = bias === false ? undefined : weights.concatVector(names.map((name) => `${name}.bias`));
  }

  /** x [..., in] -> [..., sum of outs] */
  forward(x: Tensor): Tensor {
    return matmul(x, this.weight, { bias: this.bias });
  }
}

/** Set while `goingRound` records. */
let round = false;

/**
 * What `record` records has maps that go round where `on`: its convolutions meet the opposite edge in the place of zeros, so that
 * copies of the picture laid side by side have no seam. The encoder's downsampling keeps its zeros, which the original
 * adds apart from the convolution (the A1111 web UI's "Tiling" leaves them, too).
 */
export function goingRound<T>(on: boolean, record: () => T): T {
  const before = round;
  round = on;
  try {
    return record();
  } finally {
    round = before;
  }
}

/** A convolution over NHWC. A 1x1 one is a matrix product over pixels. */
export class Conv2d {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly stride: 1 | 2;
  readonly padding: number | Padding;
  readonly upsample: boolean;

  /** `padding` defaults to half the kernel, so that stride 1 keeps the size; `upsample` doubles the input (nearest) first. */
  constructor(weights: Weights, options: Biased & { stride?: 1 | 2; padding?: number | Padding; upsample?: boolean } = {}) {
    this.weight = weights.conv();
    this.bias = options.bias === false ? undefined : weights.vector("bias");
    this.stride = options.stride ?? 1;
    this.padding = options.padding ?? (this.weight.shape[0]! - 1) / 2;
    this.upsample = options.upsample ?? false;
  }

  /** x [N, H, W, in] -> [N, H', W', out]; `channelAdd` [N, out] (or columns of longer rows) is added to every pixel of its image; `upsampled`: the size of the doubled map, where it is cut. */
  forward(
    x: Tensor,
    epilogue: { residual?: Tensor | undefined; channelAdd?: Tensor; channelAddColumn?: number; activation?: Activation } = {},
    upsampled?: { height: number; width: number },
  ): Tensor {
    const { bias, stride, padding } = this;
    const wrap = round && typeof padding === "number" && padding > 0;
    return conv2d(x, this.weight, { bias, stride, padding, wrap, upsample: upsampled ?? this.upsample, ...epilogue });
  }

  /** Of x and `beside` joined along their channels, by a window of 1x1: [N, H, W, C] and [N, H, W, in - C] -> [N, H, W, out] */
  forwardOfTwo(x: Tensor, beside: Tensor): Tensor {
    return conv2dOfTwo(x, beside, this.weight, { bias: this.bias });
  }
}

/** Group normalisation (Wu & He 2018) over [N, H, W, C]. */
export class GroupNorm {
  readonly gain: Tensor;
  readonly shift: Tensor;
  readonly groups: number;
  readonly eps: number;

  constructor(weights: Weights, groups: number, eps: number) {
    this.gain = weights.vector("weight");
    this.shift = weights.vector("bias");
    this.groups = groups;
    this.eps = eps;
  }

  /** x [N, H, W, C] -> the same shape; with `beside` [N, H, W, C'] as if they had been joined: [N, H, W, C + C'] */
  forward(x: Tensor, options: { silu?: boolean; beside?: Tensor | undefined } = {}): Tensor {
    return groupNorm(x, this.gain, this.shift, { groups: this.groups, eps: this.eps, ...options });
  }
}

/** Layer normalisation (Ba et al. 2016) over the last axis, eps 1e-5. */
export class LayerNorm {
  readonly gain: Tensor;
  readonly shift: Tensor;

  constructor(weights: Weights) {
    this.gain = weights.vector("weight");
    this.shift = weights.vector("bias");
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.gain, this.shift, { eps: 1e-5 });
  }
}

/** Shows a module's output to whoever traces the run, and hands it on. */
export function tap(path: string, output: Tensor): Tensor {
  output.device.observer?.(path, output);
  return output;
}

/**
 * Adds `residual` to a module's output, fused into its last kernel. Under a trace it is added apart, so that the tap at `path`
 * shows the module's own output, as the original implementations define it.
 */
export function withResidual(path: string, residual: Tensor, module: (epilogue: { residual?: Tensor }) => Tensor): Tensor {
  if (!residual.device.observer) return module({ residual });
  return add(tap(path, module({})), residual);
}

/** Applies modules one after the other, giving back each map as soon as the next one stands. `x` itself is the caller's. */
export function chain(x: Tensor, modules: readonly ((x: Tensor) => Tensor)[]): Tensor {
  let h = x;
  for (const module of modules) {
    const next = module(h);
    if (h !== x) h.free();
    h = next;
  }
  return h;
}
