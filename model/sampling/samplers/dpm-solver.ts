/**
 * @file DPM-Solver of orders 1 to 3 for dx/dsigma = eps(x; sigma) in lambda = -ln sigma (Lu et al. 2022, eq. 3.6 and Alg. 1, 2), shared
 * by `dpm_fast` and `dpm_adaptive`.
 */
import type { Term } from "../../../kernels/combine.ts";
import type { LatentState } from "../latent-state.ts";
import type { Denoiser } from "../sampler.ts";

/** A latent as coefficients of x and of the D's found so far within the step: D(x), D(u1), D(u2). */
type Sum = readonly [x: number, d0: number, d1: number, d2: number];

/** What a step needs to be turned into latents: the terms stay valid until the denoiser is asked again or `state` advances. */
export interface SolverStep {
  readonly terms: readonly Term[];
  /** The second-order result within a third-order step. */
  readonly lowerTerms: readonly Term[];
}

const X: Sum = [1, 0, 0, 0];

/**
 * One step from `sigma` to `next` (h = ln(sigma/next)), with `order` calls of the denoiser:
 *
 *   1:  x - next expm1(h) e
 *   2:  u1 = x - s1 expm1(r1 h) e;   x - next expm1(h) e - next/(2 r1) expm1(h) (e1 - e)
 *   3:  u2 = x - s2 expm1(r2 h) e - s2 (r2/r1)(expm1(r2 h)/(r2 h) - 1)(e1 - e);
 *       x - next expm1(h) e - next/r2 (expm1(h)/h - 1)(e2 - e)
 *
 * where e = (u - D(u; s))/s and s_i = sigma e^(-r_i h). r1 is 1/2 at order 2, else 1/3; r2 is 2/3.
 */
export async function solverStep(
  state: LatentState,
  denoiser: Pick<Denoiser, "denoise">,
  { sigma, next, order }: { readonly sigma: number; readonly next: number; readonly order: 1 | 2 | 3 },
): Promise<SolverStep> {
  const h = Math.log(sigma / next);
  const x = state.x;
  const denoised = await denoiser.denoise(x, sigma);
  const eps = slope(X, [0, 1, 0, 0], sigma);
  const first = sum([1, X], [-next * Math.expm1(h), eps]);
  if (order === 1) return { terms: termsOf(first, [x, denoised]), lowerTerms: [] };

  state.forget(0);
  state.remember([[1, denoised]], 2);
  const r1 = order === 2 ? 1 / 2 : 1 / 3;
  const s1 = sigma * Math.exp(-r1 * h);
  const u1 = sum([1, X], [-s1 * Math.expm1(r1 * h), eps]);
  const denoised1 = await denoiser.denoise(state.trial(termsOf(u1, [x, ...state.kept])), s1);
  const change1 = sum([1, slope(u1, [0, 0, 1, 0], s1)], [-1, eps]);
  const second = sum([1, first], [(-next * Math.expm1(h)) / (2 * r1), change1]);
  if (order === 2) return { terms: termsOf(second, [x, ...state.kept, denoised1]), lowerTerms: [] };

  state.remember([[1, denoised1]], 2);
  const [kept1, kept0] = state.kept as [typeof x, typeof x];
  const r2 = 2 / 3;
  const s2 = sigma * Math.exp(-r2 * h);
  const u2 = sum([1, X], [-s2 * Math.expm1(r2 * h), eps], [-s2 * (r2 / r1) * (Math.expm1(r2 * h) / (r2 * h) - 1), change1]);
  const denoised2 = await denoiser.denoise(state.trial(termsOf(u2, [x, kept0, kept1])), s2);
  const change2 = sum([1, slope(u2, [0, 0, 0, 1], s2)], [-1, eps]);
  const third = sum([1, first], [(-next / r2) * (Math.expm1(h) / h - 1), change2]);
  const tensors = [x, kept0, kept1, denoised2];
  return { terms: termsOf(third, tensors), lowerTerms: termsOf(second, tensors) };
}

/** eps of a latent u at sigma: (u - D)/sigma. */
function slope(u: Sum, denoised: Sum, sigma: number): Sum {
  return sum([1 / sigma, u], [-1 / sigma, denoised]);
}

function sum(...terms: readonly (readonly [number, Sum])[]): Sum {
  const at = (i: 0 | 1 | 2 | 3) => terms.reduce((total, [factor, vector]) => total + factor * vector[i], 0);
  return [at(0), at(1), at(2), at(3)];
}

function termsOf(coefficients: Sum, tensors: readonly Term[1][]): Term[] {
  return tensors.map((tensor, i): Term => [coefficients[i]!, tensor]);
}
