import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma } from "../noise-schedule.ts";
import type { Sampling, TimestepRun } from "../sampler.ts";

/** diffusers' floor of the posterior variance. */
const SMALLEST_VARIANCE = 1e-20;

/**
 * Ancestral sampling of DDPM (Ho et al. 2020, eq. 7, Alg. 2) with strides, as diffusers' DDPMScheduler ("fixed_small"):
 *
 *   alpha = alphaBar/alphaBar',  beta = 1 - alpha
 *   x' = sqrt(alphaBar') beta/(1 - alphaBar) x0 + sqrt(alpha) (1 - alphaBar')/(1 - alphaBar) x + sqrt(v) z
 *   v  = (1 - alphaBar')/(1 - alphaBar) beta,  no noise in the step from timestep 0
 */
export async function* ddpm(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const [step, transition] of run.transitions.entries()) {
      const { timestep, alphaBar, nextAlphaBar } = transition;
      const x0 = await run.denoiser.x0(state.x, transition);
      const alpha = alphaBar / nextAlphaBar;
      const beta = 1 - alpha;
      const variance = Math.max(((1 - nextAlphaBar) / (1 - alphaBar)) * beta, SMALLEST_VARIANCE);
      state.advance(
        [
          [(Math.sqrt(alpha) * (1 - nextAlphaBar)) / (1 - alphaBar), state.x],
          [(Math.sqrt(nextAlphaBar) * beta) / (1 - alphaBar), x0],
        ],
        {
          scale: timestep > 0 ? Math.sqrt(variance) : 0,
          from: alphaBarToSigma(alphaBar),
          to: alphaBarToSigma(nextAlphaBar),
        },
      );
      yield { step, sigma: alphaBarToSigma(nextAlphaBar), latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
