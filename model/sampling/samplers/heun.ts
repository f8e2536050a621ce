import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";
import { churned } from "./churn.ts";

/**
 * Heun's second-order method (Karras et al. 2022, Alg. 1): an Euler step to x2, then the mean of the slopes at both ends. The
 * last step, to sigma' = 0, is Euler's. Each step begins with {@link churned}.
 *
 *   d  = (x - D(x; sigma))/sigma,  x2 = x + h d,  d2 = (x2 - D(x2; sigma'))/sigma',  h = sigma' - sigma
 *   x' = x + h/2 (d + d2) = x/2 + D(x2; sigma')/2 + (1/2 + h/(2 sigma')) (x2 - D(x2; sigma'))  as h d = x2 - x
 *
 * The difference is taken first: h/(2 sigma') is 250 where two steps go from 14.6 to 0.03, and would multiply two roundings.
 */
export async function* heun(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const raised = churned(state, run, sigma);
      const denoised = await run.denoiser.denoise(state.x, raised);
      const ratio = next / raised;
      if (next === 0) {
        state.advance([[1, denoised]]);
      } else {
        const x2 = state.trial([
          [ratio, state.x],
          [1 - ratio, denoised],
        ]);
        const denoised2 = await run.denoiser.denoise(x2, next);
        const difference = state.trial([
          [1, x2],
          [-1, denoised2],
        ]);
        state.advance([
          [0.5, state.x],
          [0.5, denoised2],
          [0.5 + (next - raised) / (2 * next), difference],
        ]);
      }
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
