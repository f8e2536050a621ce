import type { Term } from "../../../kernels/combine.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * DPM-Solver++(3M) for the reverse SDE (Lu et al. 2022; k-diffusion), with Brownian noise: D is extrapolated by a parabola in log
 * sigma through its last three values. With h = ln(sigma/sigma'), k = (1 + eta) h, r0 = h1/h, r1 = h2/h:
 *
 *   d10 = (D - D1)/r0,  d11 = (D1 - D2)/r1,  d1 = d10 + (d10 - d11) r0/(r0 + r1),  d2 = (d10 - d11)/(r0 + r1)
 *   x'  = e^-k x + (1 - e^-k) D + p2 d1 - p3 d2 + sigma' sqrt(1 - e^(-2 eta h)) B(sigma, sigma'),
 *   p2  = (e^-k - 1)/k + 1,   p3 = p2/k - 1/2
 *
 * Until there are two earlier values, d1 = d10 or nothing. The last step, to sigma' = 0, is x' = D.
 */
export async function* dpmpp3mSde(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  /** h of the steps before, newest first. */
  let lengths: number[] = [];
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      if (next === 0) {
        state.advance([[1, denoised]]);
      } else {
        const h = Math.log(sigma / next);
        const k = (1 + run.eta) * h;
        const [current, ...earlier] = extrapolation(
          k,
          lengths.map((length) => length / h),
        ) as [number, ...number[]];
        const terms: Term[] = [
          [Math.exp(-k), state.x],
          [-Math.expm1(-k) + current, denoised],
          ...earlier.map((coefficient, j): Term => [coefficient, state.kept[j]!]),
        ];
        state.advance(terms, { scale: next * Math.sqrt(-Math.expm1(-2 * run.eta * h)), from: sigma, to: next });
        state.remember([[1, denoised]], 2);
        lengths = [h, ...lengths].slice(0, 2);
      }
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** p2 d1 - p3 d2 as coefficients of D, D1, D2; `ratios` are r0 and r1, as far as there are earlier steps. */
function extrapolation(k: number, [r0, r1]: readonly number[]): number[] {
  if (r0 === undefined) return [0];
  const p2 = Math.expm1(-k) / k + 1;
  if (r1 === undefined) return [p2 / r0, -p2 / r0];
  const p3 = p2 / k - 0.5;
  // Coefficients of d10 and d11 in p2 d1 - p3 d2.
  const of11 = (p3 - p2 * r0) / (r0 + r1);
  const of10 = p2 - of11;
  return [of10 / r0, of11 / r1 - of10 / r0, -of11 / r1];
}
