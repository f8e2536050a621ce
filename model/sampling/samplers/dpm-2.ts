import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/** DPM2: {@link dpm2Ancestral} that adds no noise. */
export function dpm2(run: SigmaRun): Sampling {
  return dpm2Ancestral({ ...run, eta: 0 });
}

/**
 * The midpoint method on the probability-flow ODE, its midpoint taken in log sigma (DPM-Solver-2 of Lu et al. 2022 in Karras'
 * variables; k-diffusion), with ancestral noise. A step down to 0 is Euler's.
 *
 *   m = sqrt(sigma down),  x2 = (m/sigma) x + (1 - m/sigma) D,  x' = x + (down - sigma) (x2 - D(x2; m))/m + up z
 */
export async function* dpm2Ancestral(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const { down, up } = ancestralSplit(sigma, next, run.eta);
      if (down === 0) {
        state.advance([[1, denoised]], up);
      } else {
        const middle = Math.sqrt(sigma * down);
        const x2 = state.trial([
          [middle / sigma, state.x],
          [1 - middle / sigma, denoised],
        ]);
        const denoised2 = await run.denoiser.denoise(x2, middle);
        const slope = (down - sigma) / middle;
        state.advance(
          [
            [1, state.x],
            [slope, x2],
            [-slope, denoised2],
          ],
          up,
        );
      }
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
