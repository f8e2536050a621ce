import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma } from "../noise-schedule.ts";
import type { Sampling, TimestepRun } from "../sampler.ts";

/**
 * Strategic stochastic sampling of a trajectory consistency model (Zheng et al. 2024, Alg. 2; diffusers' TCDScheduler): a jump
 * below the target, to timestep floor((1 - eta) t'), and fresh noise back up to it.
 *
 *   x_s = sqrt(alphaBar_s) x0 + sqrt(1 - alphaBar_s) eps
 *   x'  = sqrt(alphaBar'/alphaBar_s) x_s + sqrt(1 - alphaBar'/alphaBar_s) z
 */
export async function* tcd(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const [step, transition] of run.transitions.entries()) {
      const { alphaBar, nextAlphaBar, belowAlphaBar = nextAlphaBar } = transition;
      const x0 = await run.denoiser.x0(state.x, transition);
      const ofX = Math.sqrt(nextAlphaBar / belowAlphaBar) * Math.sqrt((1 - belowAlphaBar) / (1 - alphaBar));
      const [sigma, next] = [alphaBarToSigma(alphaBar), alphaBarToSigma(nextAlphaBar)];
      state.advance(
        [
          [ofX, state.x],
          [Math.sqrt(nextAlphaBar) - ofX * Math.sqrt(alphaBar), x0],
        ],
        { scale: Math.sqrt(1 - nextAlphaBar / belowAlphaBar), from: sigma, to: next },
      );
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
