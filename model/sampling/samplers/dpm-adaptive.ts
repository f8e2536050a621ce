import { LatentState } from "../latent-state.ts";
import type { Sampling, SigmaRun } from "../sampler.ts";
import { stepDown } from "./dpm-fast.ts";
import { solverStep } from "./dpm-solver.ts";

/** k-diffusion's settings, which A1111 and ComfyUI keep. */
const RELATIVE_TOLERANCE = 0.05;
const ABSOLUTE_TOLERANCE = 0.0078;
const FIRST_H = 0.05;
const LEAST_FACTOR = 0.81;

/**
 * DPM-Solver-12-23 with adaptive steps (Lu et al. 2022, Alg. 4 and appendix C; k-diffusion): each attempt takes a step h in -ln sigma
 * with orders 2 and 3, whose difference, read back from the GPU, says how long the next one may be and whether this one counts.
 *
 *   error  = sqrt(mean(((low - high)/delta)^2)),   delta = max(0.0078, 0.05 max(|low|, |low of the last step that counted|))
 *   factor = 1 + atan((1/error)^(1/order) - 1),    order = 3, with noise 3/2;   counts if factor >= 0.81;   h' = factor h
 *
 * Of the sigmas only the ends (the smallest above 0) count. It yields after every attempt, how many there are shows in the end, and
 * stops at the smallest sigma.
 */
export async function* dpmAdaptive(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  const smallest = run.sigmas.findLast((sigma) => sigma > 0)!;
  const exponent = run.eta > 0 ? 1 / 1.5 : 1 / 3;
  let sigma = run.sigmas[0]!;
  let h = FIRST_H;
  try {
    let previousLow = await state.x.read();
    for (let step = 0; Math.log(sigma / smallest) > 1e-5; step++) {
      // After a NaN, where the error says nothing, the rest is one step: the run ends and its caller sees it.
      const next = Number.isNaN(h) ? smallest : Math.max(smallest, sigma * Math.exp(-h));
      const { down, up } = stepDown({ sigma, next, smallest, eta: run.eta });
      const { terms, lowerTerms } = await solverStep(state, run.denoiser, { sigma, next: down, order: 3 });
      const low = await state.trial(lowerTerms).read();
      const high = await state.trial(terms).read();
      const factor = 1 + Math.atan((1 / (errorNorm(low, high, previousLow) + 1e-8)) ** exponent - 1);
      if (!(factor < LEAST_FACTOR)) {
        state.advance(terms, { scale: up, from: sigma, to: next });
        previousLow = low;
        sigma = next;
      }
      h *= factor;
      yield { step, sigma, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

function errorNorm(low: Float32Array, high: Float32Array, previousLow: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < low.length; i++) {
    const scale = Math.max(Math.abs(low[i]!), Math.abs(previousLow[i]!));
    squares += ((low[i]! - high[i]!) / Math.max(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * scale)) ** 2;
  }
  return Math.sqrt(squares / low.length);
}
