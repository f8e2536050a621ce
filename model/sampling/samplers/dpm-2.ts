import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";
import { churned } from "./churn.ts";

/** DPM2: {@link dpm2Ancestral} that adds no noise but churn ({@link churned}). */
export function dpm2(run: SigmaRun): Sampling {
  return midpoint({ ...run, eta: 0 });
}

/**
 * The midpoint method on the probability-flow ODE, its midpoint taken in log sigma (DPM-Solver-2 of Lu et al. 2022 in Karras'
 * variables; k-diffusion), with ancestral noise. A step down to 0 is Euler's.
 *
 *   m = sqrt(sigma down),  x2 = (m/sigma) x + (1 - m/sigma) D,  x' = x + (down - sigma) (x2 - D(x2; m))/m + up z
 */
export function dpm2Ancestral(run: SigmaRun): Sampling {
  return midpoint({ ...run, churn: undefined });
}

async function* midpoint(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const raised = churned(state, run, sigma);
      const denoised = await run.denoiser.denoise(state.x, raised);
      const { down, up } = ancestralSplit(raised, next, run.eta);
      if (down === 0) {
        state.advance([[1, denoised]], { scale: up, from: sigma, to: next });
      } else {
        const middle = Math.sqrt(raised * down);
        const x2 = state.trial([
          [middle / raised, state.x],
          [1 - middle / raised, denoised],
        ]);
        const denoised2 = await run.denoiser.denoise(x2, middle);
        const slope = (down - raised) / middle;
        state.advance(
          [
            [1, state.x],
            [slope, x2],
            [-slope, denoised2],
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
