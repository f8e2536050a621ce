import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/** Runs with fewer steps than this end with a first-order one (diffusers). */
const SHORT_RUN = 15;

/**
 * DEIS of order 2 in rho = sigma (Zhang & Chen 2022, "rho AB-DEIS", with slopes linear in log rho; diffusers' default): with
 * e = (x - D)/sigma,
 *
 *   x' = x + c1 e + c2 e_previous,   c1 = F(sigma'; sigma, p) - F(sigma; sigma, p),   c2 = F(sigma'; p, sigma) - F(sigma; p, sigma)
 *   F(t; b, c) = t (ln t - ln c - 1)/(ln b - ln c),   p the previous sigma
 *
 * The first step is Euler's, and so is the last one in short runs or where it goes to 0. A run that ends above sigma 0 ends in VP space,
 * as diffusers' does at the smallest sigma.
 */
export async function* deis(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  const steps = run.sigmas.length - 1;
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const [previous] = state.kept;
      const firstOrder = next === 0 || (step === steps - 1 && steps < SHORT_RUN);
      const x = state.x;
      // alphaBar's root where the run ends: 1 at sigma 0.
      const scale = step === steps - 1 ? 1 / Math.sqrt(next ** 2 + 1) : 1;
      if (previous === undefined || firstOrder) {
        state.remember(slope(x, denoised, sigma), 1);
        state.advance([
          [(scale * next) / sigma, x],
          [scale * (1 - next / sigma), denoised],
        ]);
      } else {
        const before = run.sigmas[step - 1]!;
        const ofSlope = integral(next, sigma, before) - integral(sigma, sigma, before);
        const ofPrevious = integral(next, before, sigma) - integral(sigma, before, sigma);
        state.remember(slope(x, denoised, sigma), 2);
        state.advance([
          [scale * (1 + ofSlope / sigma), x],
          [(-scale * ofSlope) / sigma, denoised],
          [scale * ofPrevious, previous],
        ]);
        state.forget(1);
      }
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

function slope(x: LatentState["x"], denoised: LatentState["x"], sigma: number) {
  return [
    [1 / sigma, x],
    [-1 / sigma, denoised],
  ] as const;
}

/** F(t; b, c): antiderivative of the Lagrange polynomial in ln t that is 1 at b and 0 at c. */
function integral(t: number, b: number, c: number): number {
  return (t * (Math.log(t) - Math.log(c) - 1)) / (Math.log(b) - Math.log(c));
}
