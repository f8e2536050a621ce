import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * DPM-Solver++(2S), the singlestep one (Lu et al. 2022, Alg. 1 with r = 1/2; k-diffusion), with ancestral noise. A step down
 * to 0 is Euler's.
 *
 *   m  = sqrt(sigma down),  x2 = (m/sigma) x + (1 - m/sigma) D
 *   x' = (down/sigma) x + (1 - down/sigma) D(x2; m) + up z
 */
export async function* dpmpp2sAncestral(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const { down, up } = ancestralSplit(sigma, next, run.eta);
      if (down === 0) {
        state.advance([[1, denoised]], { scale: up, from: sigma, to: next });
      } else {
        const middle = Math.sqrt(sigma * down);
        const x2 = state.trial([
          [middle / sigma, state.x],
          [1 - middle / sigma, denoised],
        ]);
        const denoised2 = await run.denoiser.denoise(x2, middle);
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
