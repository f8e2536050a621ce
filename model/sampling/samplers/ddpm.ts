import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma } from "../noise-schedule.ts";
import type { Sampling, TimestepRun } from "../sampler.ts";

/** diffusers' floor of the posterior variance. */
const SMALLEST_VARIANCE = 1e-20;

/**
 * Ancestral sampling of DDPM (Ho et al. 2020, eq. 7, Alg. 2) with strides, as diffusers' DDPMScheduler ("fixed_small"):
 *
 *   alpha = alphaBar/alphaBar',  beta = 1 - alpha,  x0 = (x - sqrt(1 - alphaBar) eps) / sqrt(alphaBar)
 *   x' = sqrt(alphaBar') beta/(1 - alphaBar) x0 + sqrt(alpha) (1 - alphaBar')/(1 - alphaBar) x + sqrt(v) z
 *   v  = (1 - alphaBar')/(1 - alphaBar) beta,  no noise in the step from timestep 0
 */
export async function* ddpm(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const [step, { timestep, alphaBar, nextAlphaBar }] of run.transitions.entries()) {
      const eps = await run.denoiser.eps(state.x, timestep);
      const alpha = alphaBar / nextAlphaBar;
      const beta = 1 - alpha;
      const ofX0 = (Math.sqrt(nextAlphaBar) * beta) / (1 - alphaBar);
      const ofX = (Math.sqrt(alpha) * (1 - nextAlphaBar)) / (1 - alphaBar);
      const variance = Math.max(((1 - nextAlphaBar) / (1 - alphaBar)) * beta, SMALLEST_VARIANCE);
      state.advance(
        [
          [ofX + ofX0 / Math.sqrt(alphaBar), state.x],
          [-ofX0 * alphaBarToSigma(alphaBar), eps],
        ],
        timestep > 0 ? Math.sqrt(variance) : 0,
      );
      yield { step, sigma: alphaBarToSigma(nextAlphaBar), latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
