import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * Ancestral sampling with Euler steps (k-diffusion): each step goes down below its target and comes back up with noise.
 *
 *   x' = (down/sigma) x + (1 - down/sigma) D + up z
 */
export async function* eulerAncestral(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const { down, up } = ancestralSplit(sigma, next, run.eta);
      const ratio = down / sigma;
      state.advance(
        [
          [ratio, state.x],
          [1 - ratio, denoised],
        ],
        { scale: up, from: sigma, to: next },
      );
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
