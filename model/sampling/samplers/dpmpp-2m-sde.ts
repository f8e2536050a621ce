import type { Term } from "../../../kernels/combine.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/** DPM++ 2M SDE: the slope of D taken at the interval's midpoint. */
export function dpmpp2mSde(run: SigmaRun): Sampling {
  return multistepSde(run, (k) => -Math.expm1(-k) / 2);
}

/** DPM++ 2M SDE Heun: D linear in log sigma, integrated exactly. */
export function dpmpp2mSdeHeun(run: SigmaRun): Sampling {
  return multistepSde(run, (k) => 1 + Math.expm1(-k) / k);
}

/**
 * DPM-Solver++ for the reverse SDE, second-order multistep (Lu et al. 2022; k-diffusion), with Brownian noise. With
 * h = ln(sigma/sigma'), k = (1 + eta) h and r = h_previous/h:
 *
 *   x' = (sigma'/sigma) e^(-eta h) x + (1 - e^-k) D + slope(k) (D - D_previous)/r + sigma' sqrt(1 - e^(-2 eta h)) B(sigma, sigma')
 *
 * The first step has no D_previous; the last one, to sigma' = 0, is x' = D.
 */
async function* multistepSde(run: SigmaRun, slope: (k: number) => number): Sampling {
  const state = new LatentState(run);
  let previousH = 0;
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      if (next === 0) {
        state.advance([[1, denoised]]);
      } else {
        const h = Math.log(sigma / next);
        const k = (1 + run.eta) * h;
        const [previous] = state.kept;
        const change = previous === undefined ? 0 : (slope(k) * h) / previousH;
        const terms: Term[] = [
          [(next / sigma) * Math.exp(-run.eta * h), state.x],
          [-Math.expm1(-k) + change, denoised],
        ];
        if (previous !== undefined) terms.push([-change, previous]);
        state.advance(terms, { scale: next * Math.sqrt(-Math.expm1(-2 * run.eta * h)), from: sigma, to: next });
        state.remember([[1, denoised]], 1);
        previousH = h;
      }
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
