import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";
import { churned } from "./churn.ts";

/**
 * Euler's method on the probability-flow ODE  dx/dsigma = (x - D(x; sigma)) / sigma  (Karras et al. 2022, Alg. 1 without its
 * second-order correction):
 *
 *   x' = x + (sigma' - sigma) (x - D)/sigma = (sigma'/sigma) x + (1 - sigma'/sigma) D,    after {@link churned}
 */
export async function* euler(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const raised = churned(state, run, sigma);
      const denoised = await run.denoiser.denoise(state.x, raised);
      const ratio = next / raised;
      state.advance([
        [ratio, state.x],
        [1 - ratio, denoised],
      ]);
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
