import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * RES, the refined exponential solver, as a second-order multistep method (Zhang et al. 2023, arXiv 2308.02157; ComfyUI). With
 * h = ln(sigma/down) and c = (ln down_previous - ln sigma_previous)/h (below 0: the earlier point in units of this step):
 *
 *   x' = e^-h x + h [(phi1 - phi2/c) D + (phi2/c) D_previous] + up z,   phi1 = (1 - e^-h)/h,   phi2 = (1 - phi1)/h
 *
 * With eta = 0 it adds no noise. The first step and one down to 0 are Euler's.
 */
export async function* resMultistep(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  let previousDown = 0;
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const { down, up } = ancestralSplit(sigma, next, run.eta);
      const noise = { scale: up, from: sigma, to: next };
      const [previous] = state.kept;
      const ratio = down / sigma;
      if (previous === undefined || down === 0) {
        state.advance(
          [
            [ratio, state.x],
            [1 - ratio, denoised],
          ],
          noise,
        );
      } else {
        const h = -Math.log(ratio);
        const c = Math.log(previousDown / run.sigmas[step - 1]!) / h;
        const phi1 = (1 - ratio) / h;
        const share = c === 0 ? 0 : (1 - phi1) / c; // h phi2 / c
        state.advance(
          [
            [ratio, state.x],
            [h * phi1 - share, denoised],
            [share, previous],
          ],
          noise,
        );
      }
      state.remember([[1, denoised]], 1);
      previousDown = down;
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
