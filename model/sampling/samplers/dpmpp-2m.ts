import type { Term } from "../../../kernels/combine.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * DPM-Solver++(2M), the multistep one (Lu et al. 2022, Alg. 2; k-diffusion). With lambda = -ln sigma, h = lambda' - lambda and
 * r = h_previous / h:
 *
 *   x' = (sigma'/sigma) x - (e^-h - 1) [(1 + 1/(2r)) D - 1/(2r) D_previous],    e^-h = sigma'/sigma
 *
 * The first step has no D_previous, the last (to sigma' = 0) does without: both are first order.
 */
export async function* dpmpp2m(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  let previousH = 0;
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const ratio = next / sigma;
      const h = -Math.log(ratio);
      const [previous] = state.kept;
      const correction = previous === undefined || next === 0 ? 0 : h / (2 * previousH);
      const terms: Term[] = [
        [ratio, state.x],
        [(1 - ratio) * (1 + correction), denoised],
      ];
      if (previous) terms.push([-(1 - ratio) * correction, previous]);
      state.advance(terms);
      state.remember([[1, denoised]], 1);
      previousH = h;
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
