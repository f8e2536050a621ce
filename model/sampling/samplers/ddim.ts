import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma } from "../noise-schedule.ts";
import type { Sampling, TimestepRun } from "../sampler.ts";
import type { Transition } from "../transitions.ts";

/**
 * DDIM (Song et al. 2021, eq. 12), as diffusers' DDIMScheduler: eta 0 is deterministic, eta 1 has DDPM's variance.
 *
 *   x0 = (x - sqrt(1 - alphaBar) eps) / sqrt(alphaBar)
 *   x' = sqrt(alphaBar') x0 + sqrt(1 - alphaBar' - sigma^2) eps + sigma z
 */
export async function* ddim(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const [step, transition] of run.transitions.entries()) {
      const eps = await run.denoiser.eps(state.x, transition.timestep);
      const { ofX, ofEps, ofNoise } = ddimCoefficients(transition, run.eta);
      state.advance(
        [
          [ofX, state.x],
          [ofEps, eps],
        ],
        ofNoise,
      );
      yield { step, sigma: alphaBarToSigma(transition.nextAlphaBar), latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** Eq. 12 with x0 put in: x' = ofX x + ofEps eps + ofNoise z. */
export function ddimCoefficients(
  { alphaBar, nextAlphaBar }: Transition,
  eta: number,
): { ofX: number; ofEps: number; ofNoise: number } {
  const variance = eta ** 2 * ((1 - nextAlphaBar) / (1 - alphaBar)) * (1 - alphaBar / nextAlphaBar);
  return {
    ofX: Math.sqrt(nextAlphaBar / alphaBar),
    ofEps: Math.sqrt(1 - nextAlphaBar - variance) - Math.sqrt((nextAlphaBar * (1 - alphaBar)) / alphaBar),
    ofNoise: Math.sqrt(variance),
  };
}
