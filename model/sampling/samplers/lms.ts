import type { Term } from "../../../kernels/combine.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

const ORDER = 4;

/**
 * Linear multistep (Adams-Bashforth on uneven steps, order up to 4; k-diffusion) for dx/dsigma = d(x; sigma) = (x - D)/sigma:
 * the last slopes are interpolated by a polynomial, which is integrated exactly.
 *
 *   x' = x + sum_j c_j d_{i-j}
 */
export async function* lms(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const [current, ...earlier] = lmsCoefficients(run.sigmas, step, Math.min(step + 1, ORDER)) as [number, ...number[]];
      const x = state.x;
      const slope: Term[] = [
        [1 / sigma, x],
        [-1 / sigma, denoised],
      ];
      const terms: Term[] = [
        [1 + current / sigma, x],
        [-current / sigma, denoised],
        ...earlier.map((coefficient, j): Term => [coefficient, state.kept[j]!]),
      ];
      state.remember(slope, ORDER);
      state.advance(terms);
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/**
 * c_j = integral from sigma_i to sigma_{i+1} of prod_{k != j} (tau - sigma_{i-k}) / (sigma_{i-j} - sigma_{i-k}) dtau, for
 * j = 0..order-1. The integrand is a polynomial of degree 3 at most, so Gauss-Legendre with two nodes is exact.
 */
export function lmsCoefficients(sigmas: readonly number[], i: number, order: number): number[] {
  const [begin, end] = [sigmas[i]!, sigmas[i + 1]!];
  const nodes = [-1, 1].map((side) => (begin + end) / 2 + (side * (end - begin)) / (2 * Math.sqrt(3)));
  const lagrange = (tau: number, j: number) => {
    let product = 1;
    for (let k = 0; k < order; k++) if (k !== j) product *= (tau - sigmas[i - k]!) / (sigmas[i - j]! - sigmas[i - k]!);
    return product;
  };
  return Array.from({ length: order }, (_, j) => ((end - begin) / 2) * nodes.reduce((sum, tau) => sum + lagrange(tau, j), 0));
}
