import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/** {@link eulerAncestralCfgPp} without noise. */
export function eulerCfgPp(run: SigmaRun): Sampling {
  return eulerAncestralCfgPp({ ...run, eta: 0 });
}

/**
 * Euler's method with CFG++ (Chung et al. 2024, Alg. 2; ComfyUI): the step goes to the guided D, but along the noise that the
 * negative prompt alone sees, and comes back up with fresh noise.
 *
 *   x' = D + (down/sigma) (x - D_negative) + up z
 */
export async function* eulerAncestralCfgPp(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const { guided, negative } = await run.denoiser.denoiseBoth(state.x, sigma);
      const { down, up } = ancestralSplit(sigma, next, run.eta);
      const ratio = down / sigma;
      state.advance(
        [
          [1, guided],
          [ratio, state.x],
          [-ratio, negative],
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
