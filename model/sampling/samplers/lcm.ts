import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma } from "../noise-schedule.ts";
import { intervals, type Sampling, type SigmaRun, type TimestepRun } from "../sampler.ts";

/** Of the consistency model's boundary condition: the training timestep is scaled by this, and the data's deviation. */
const TIMESTEP_SCALING = 10;
const SIGMA_DATA = 0.5;

/**
 * Multistep sampling of a latent consistency model (Luo et al. 2023, Alg. 2 and eq. 9; diffusers' LCMScheduler): each step jumps to
 * the end and comes back up with fresh noise, the last one stays.
 *
 *   f  = cOut x0 + cSkip x,   cSkip = s^2/((10 t)^2 + s^2),   cOut = 10 t/sqrt((10 t)^2 + s^2),   s = 1/2
 *   x' = sqrt(alphaBar') f + sqrt(1 - alphaBar') z
 */
export async function* lcm(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const [step, transition] of run.transitions.entries()) {
      const { alphaBar, nextAlphaBar, timestep } = transition;
      const x0 = await run.denoiser.x0(state.x, transition);
      const time = TIMESTEP_SCALING * timestep;
      const ofX = SIGMA_DATA ** 2 / (time ** 2 + SIGMA_DATA ** 2);
      const ofX0 = time / Math.sqrt(time ** 2 + SIGMA_DATA ** 2);
      const [sigma, next] = [alphaBarToSigma(alphaBar), alphaBarToSigma(nextAlphaBar)];
      state.advance(
        [
          [Math.sqrt(nextAlphaBar) * ofX, state.x],
          [Math.sqrt(nextAlphaBar) * ofX0, x0],
        ],
        { scale: Math.sqrt(1 - nextAlphaBar), from: sigma, to: next },
      );
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** The same in k-space on any schedule, without the boundary condition (ComfyUI): x' = D + sigma' z. */
export async function* lcmOnSigmas(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      state.advance([[1, denoised]], { scale: next, from: sigma, to: next });
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
