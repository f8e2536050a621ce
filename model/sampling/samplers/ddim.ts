import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma, NEARLY_ZERO } from "../noise-schedule.ts";
import type { Sampling, TimestepRun } from "../sampler.ts";
import type { Transition } from "../transitions.ts";

/**
 * DDIM (Song et al. 2021, eq. 12), as diffusers' DDIMScheduler: eta 0 is deterministic, eta 1 has DDPM's variance.
 *
 *   eps = (x - sqrt(alphaBar) x0) / sqrt(1 - alphaBar)
 *   x'  = sqrt(alphaBar') x0 + sqrt(1 - alphaBar' - s^2) eps + s z
 *
 * The denoiser is asked for x0, as at zero terminal SNR (alphaBar = 0) eps doesn't tell it.
 */
export async function* ddim(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const [step, transition] of run.transitions.entries()) {
      const { alphaBar, nextAlphaBar } = transition;
      const x0 = await run.denoiser.x0(state.x, transition);
      const { direction, noise } = ddimSplit(transition, run.eta);
      const ofX = direction / Math.sqrt(1 - alphaBar);
      state.advance(
        [
          [ofX, state.x],
          [Math.sqrt(nextAlphaBar) - ofX * Math.sqrt(alphaBar), x0],
        ],
        { scale: noise, from: alphaBarToSigma(alphaBar), to: alphaBarToSigma(nextAlphaBar) },
      );
      yield { step, sigma: alphaBarToSigma(nextAlphaBar), latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/**
 * DDIM with CFG++ (Chung et al. 2024), as in A1111: the step goes to the guided x0, but along the noise that the negative prompt
 * alone sees. A1111 divides the CFG scale by 12.5 for it, which is the caller's business.
 *
 *   x' = sqrt(alphaBar') x0 + sqrt(1 - alphaBar' - s^2) eps_negative + s z,    eps = (x/sqrt(alphaBar) - D)/sigma
 *
 * At zero terminal SNR it begins at the alphaBar that A1111 and k-space samplers see there.
 */
export async function* ddimCfgPp(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const [step, transition] of run.transitions.entries()) {
      const alphaBar = Math.max(transition.alphaBar, NEARLY_ZERO);
      const [sigma, next] = [alphaBarToSigma(alphaBar), alphaBarToSigma(transition.nextAlphaBar)];
      const scaled = state.trial([[1 / Math.sqrt(alphaBar), state.x]]);
      const { guided, negative } = await run.denoiser.denoiseBoth(scaled, sigma);
      const { direction, noise } = ddimSplit(transition, run.eta);
      state.advance(
        [
          [direction / sigma, scaled],
          [Math.sqrt(transition.nextAlphaBar), guided],
          [-direction / sigma, negative],
        ],
        { scale: noise, from: sigma, to: next },
      );
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** The factors of eps and of fresh noise in eq. 12. */
function ddimSplit({ alphaBar, nextAlphaBar }: Transition, eta: number): { direction: number; noise: number } {
  const variance = eta ** 2 * ((1 - nextAlphaBar) / (1 - alphaBar)) * (1 - alphaBar / nextAlphaBar);
  return { direction: Math.sqrt(1 - nextAlphaBar - variance), noise: Math.sqrt(variance) };
}
