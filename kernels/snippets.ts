/** @file WGSL that several kernels share: the index of a folded grid, and the activations with the error function. */
import { defineSnippet } from "../engine/kernel.ts";

/**
 * `flat_index(global_invocation_id, num_workgroups)`: the index of an invocation in a 1-D list that `perElement` may have folded
 * into y. Needs a workgroup of WORKGROUP_SIZE x 1 x 1.
 */
export const flatIndex = defineSnippet({
  name: "flat_index",
  wgsl: /* wgsl */ `
    fn flat_index(id: vec3u, groups: vec3u) -> u32 {
      return id.x + id.y * groups.x * WORKGROUP_SIZE;
    }`,
});

/**
 * x * sigmoid(x) (Hendrycks and Gimpel 2016; Elfwing et al. 2017). The exponent is held below 80 because WGSL promises nothing
 * about a quotient whose divisor leaves f32's range; there the result is under 2e-35 |x| anyway.
 */
export const silu = defineSnippet({
  name: "silu",
  wgsl: /* wgsl */ `
    fn silu(x: f32) -> f32 {
      return x / (1.0 + exp(min(-x, 80.0)));
    }
    fn silu4(x: vec4f) -> vec4f {
      return x / (1.0 + exp(min(-x, vec4f(80.0))));
    }`,
});

/** x * sigmoid(1.702 x), the approximation of GELU that OpenAI's CLIP was trained with. */
export const quickGelu = defineSnippet({
  name: "quick_gelu",
  wgsl: /* wgsl */ `
    fn quick_gelu(x: f32) -> f32 {
      return x / (1.0 + exp(min(-1.702 * x, 80.0)));
    }
    fn quick_gelu4(x: vec4f) -> vec4f {
      return x / (1.0 + exp(min(-1.702 * x, vec4f(80.0))));
    }`,
});

/**
 * erfc(a) = 1 - erf(a) for a >= 0, absolute error below 1.2e-7, and 2e-6 of erfc up to a = 4.1; beyond, where erfc is below
 * 7e-9, the answer is 0. Two polynomials fitted for this file (least squares on Chebyshev points, reweighted towards the minimax): below 1 of
 * erf(a)/a - 1 in a^2, above it of -log(erfc(a)) in a.
 */
export const erfc = defineSnippet({
  name: "erfc",
  wgsl: /* wgsl */ `
    fn erfc_positive(x: f32) -> f32 {
      let a = min(x, 4.2);
      let s = a * a;
      let near = 1.0 - (((((((7.889268e-5 * s - 8.0208894e-4) * s + 5.1895413e-3) * s - 2.6854448e-2) * s + 0.112836) * s
        - 0.37612626) * s + 0.12837917) * a + a);
      let far = exp(-((((((-1.8557331e-4 * a + 2.9396005e-3) * a - 2.1805292e-2) * a + 0.10303731) * a
        + 0.63822573) * a + 1.12704) * a + 3.5372836e-4));
      return select(select(far, near, a < 1.0), 0.0, a > 4.1);
    }
    fn erfc4_positive(x: vec4f) -> vec4f {
      let a = min(x, vec4f(4.2));
      let s = a * a;
      let near = 1.0 - (((((((7.889268e-5 * s - 8.0208894e-4) * s + 5.1895413e-3) * s - 2.6854448e-2) * s + 0.112836) * s
        - 0.37612626) * s + 0.12837917) * a + a);
      let far = exp(-((((((-1.8557331e-4 * a + 2.9396005e-3) * a - 2.1805292e-2) * a + 0.10303731) * a
        + 0.63822573) * a + 1.12704) * a + 3.5372836e-4));
      return select(select(far, near, a < vec4f(1.0)), vec4f(), a > vec4f(4.1));
    }`,
});

/** GELU with the exact error function (Hendrycks and Gimpel 2016): x Phi(x), where Phi(-x) = erfc(x / sqrt 2) / 2. */
export const gelu = defineSnippet({
  name: "gelu",
  needs: [erfc],
  wgsl: /* wgsl */ `
    fn gelu(x: f32) -> f32 {
      let tail = erfc_positive(abs(x) * 0.70710678);
      return 0.5 * x * select(2.0 - tail, tail, x < 0.0);
    }
    fn gelu4(x: vec4f) -> vec4f {
      let tail = erfc4_positive(abs(x) * 0.70710678);
      return 0.5 * x * select(2.0 - tail, tail, x < vec4f());
    }`,
});

/** x, or a fifth of it below 0 (Maas et al. 2013), with the slope that ESRGAN was trained with. */
export const leakyRelu = defineSnippet({
  name: "leaky_relu",
  wgsl: /* wgsl */ `
    fn leaky_relu(x: f32) -> f32 {
      return max(x, 0.2 * x);
    }
    fn leaky_relu4(x: vec4f) -> vec4f {
      return max(x, 0.2 * x);
    }`,
});

export type Activation = "none" | "silu" | "gelu" | "quick_gelu" | "leaky_relu";

/** Values of the tunable ACTIVATION that the snippet `activate` reads; 4 is the product's GEGLU (matmul/epilogue.ts). */
export const activationCode: Readonly<Record<Activation, number>> = { none: 0, silu: 1, gelu: 2, quick_gelu: 3, leaky_relu: 5 };

/**
 * `activate(x)` and `activate4(x)`: the activation that the tunable ACTIVATION names (`tunables: { ACTIVATION: 0 }` in the kernel,
 * `activationCode[name]` at launch). The branch is on a constant, so only one activation is compiled in.
 */
export const activate = defineSnippet({
  name: "activate",
  needs: [silu, gelu, quickGelu, leakyRelu],
  wgsl: /* wgsl */ `
    fn activate(x: f32) -> f32 {
      if (ACTIVATION == 1u) { return silu(x); }
      if (ACTIVATION == 2u) { return gelu(x); }
      if (ACTIVATION == 3u) { return quick_gelu(x); }
      if (ACTIVATION == 5u) { return leaky_relu(x); }
      return x;
    }
    fn activate4(x: vec4f) -> vec4f {
      if (ACTIVATION == 1u) { return silu4(x); }
      if (ACTIVATION == 2u) { return gelu4(x); }
      if (ACTIVATION == 3u) { return quick_gelu4(x); }
      if (ACTIVATION == 5u) { return leaky_relu4(x); }
      return x;
    }`,
});
