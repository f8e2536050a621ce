import type { Term } from "../../../kernels/combine.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/** Points of the sums that stand for the integrals below. */
const POINTS = 200;

/**
 * ER-SDE-Solver-3 (Cui et al. 2023, arXiv 2309.06169; ComfyUI): the extended reverse-time SDE with the noise function phi, solved
 * with divided differences D', D'' of D over sigma, as far as there are earlier steps. With r = phi(sigma')/phi(sigma), d = sigma' - sigma:
 *
 *   x' = r x + (1 - r) D + (d + phi(sigma') S0) D' + (d^2/2 + phi(sigma') S1) D'' + sqrt(sigma'^2 - r^2 sigma^2) z
 *   phi(s) = s (e^(s^0.3) + 10),   S0 = int ds/phi(s),   S1 = int (s - sigma)/phi(s) ds   over sigma'..sigma, as left sums
 *
 * The last step, to sigma' = 0, is x' = D.
 */
export async function* erSde(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      if (next === 0) {
        state.advance([[1, denoised]]);
      } else {
        const r = phi(next) / phi(sigma);
        const [current, ...earlier] = corrections(run.sigmas, step) as [number, ...number[]];
        const terms: Term[] = [
          [r, state.x],
          [1 - r + current, denoised],
          ...earlier.map((coefficient, j): Term => [coefficient, state.kept[j]!]),
        ];
        const variance = next ** 2 - r ** 2 * sigma ** 2;
        state.advance(terms, { scale: Math.sqrt(Math.max(variance, 0)), from: sigma, to: next });
        state.remember([[1, denoised]], 2);
      }
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

function phi(sigma: number): number {
  return sigma * (Math.exp(sigma ** 0.3) + 10);
}

/** The D' and D'' terms as coefficients of D and up to two earlier ones. */
function corrections(sigmas: readonly number[], step: number): number[] {
  const [sigma, next, before, earliest] = [sigmas[step]!, sigmas[step + 1]!, sigmas[step - 1], sigmas[step - 2]];
  if (before === undefined) return [0];
  const width = (sigma - next) / POINTS;
  let [sum, moment] = [0, 0];
  for (let i = 0; i < POINTS; i++) {
    const s = next + i * width;
    sum += width / phi(s);
    moment += (width * (s - sigma)) / phi(s);
  }
  const first = (next - sigma + phi(next) * sum) / (sigma - before); // of D - D1
  if (earliest === undefined) return [first, -first];
  const second = ((next - sigma) ** 2 / 2 + phi(next) * moment) / ((sigma - earliest) / 2); // of D' - D'_previous
  const ofNew = first + second / (sigma - before);
  const ofOld = -second / (before - earliest); // of D1 - D2
  return [ofNew, ofOld - ofNew, -ofOld];
}
