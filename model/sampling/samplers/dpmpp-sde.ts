import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * DPM-Solver++ for the reverse SDE, singlestep with r = 1/2 (Lu et al. 2022; k-diffusion): a noisy trial step to the midpoint in log
 * sigma, then the whole step with the midpoint's D. The noise is Brownian: that of the trial is part of the step's. A step down to 0
 * is Euler's.
 *
 *   m = sqrt(sigma sigma'),   split of sigma -> m: (down, up),         x2 = (down/sigma) x + (1 - down/sigma) D + up B(sigma, m)
 *                             split of sigma -> sigma': (down, up),    x' = (down/sigma) x + (1 - down/sigma) D(x2; m) + up B(sigma, sigma')
 */
export async function* dpmppSde(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      if (next === 0) {
        state.advance([[1, denoised]]);
      } else {
        const middle = Math.sqrt(sigma * next);
        const half = ancestralSplit(sigma, middle, run.eta);
        const x2 = state.trial(
          [
            [half.down / sigma, state.x],
            [1 - half.down / sigma, denoised],
          ],
          { scale: half.up, from: sigma, to: middle },
        );
        const denoised2 = await run.denoiser.denoise(x2, middle);
        const { down, up } = ancestralSplit(sigma, next, run.eta);
        state.advance(
          [
            [down / sigma, state.x],
            [1 - down / sigma, denoised2],
          ],
          { scale: up, from: sigma, to: next },
        );
      }
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
