import { LatentState } from "../latent-state.ts";
import type { Sampling, SigmaRun } from "../sampler.ts";
import { karrasSigmas } from "../schedules.ts";

/** Sigmas between which a run goes back and forth once more: up to the first, down to the second (A1111). */
const BACK_UP_TO = 2;
const DOWN_TO = 0.1;

/**
 * Restart sampling (Xu et al. 2023, Alg. 1; A1111): Heun's method, in runs of 20 steps or more on Karras' sigmas, which at about
 * sigma = 0.1 adds noise up to about 2 and comes down again, once or (from 36 steps) twice. The noise belongs to the step before it.
 *
 *   x' = Heun(x; sigma -> sigma') + sqrt(restart^2 - sigma'^2) z
 */
export async function* restart(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  const steps = restartSteps(run.sigmas);
  try {
    for (const [step, [sigma, next]] of steps.entries()) {
      const after = steps[step + 1]?.[0] ?? next;
      const noise = { scale: after > next ? Math.sqrt(after ** 2 - next ** 2) : 0, from: after, to: next };
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const ratio = next / sigma;
      if (next === 0) {
        state.advance([[1, denoised]]);
      } else {
        const x2 = state.trial([
          [ratio, state.x],
          [1 - ratio, denoised],
        ]);
        const denoised2 = await run.denoiser.denoise(x2, next);
        const half = (next - sigma) / (2 * next);
        state.advance(
          [
            [0.5, state.x],
            [0.5 + half, x2],
            [-half, denoised2],
          ],
          noise,
        );
      }
      yield { step, sigma: Math.max(after, next), latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** The pairs of sigmas that the steps go between. */
export function restartSteps(sigmas: readonly number[]): (readonly [number, number])[] {
  const steps = sigmas.length - 1;
  if (steps < 20) return pairs(sigmas);
  const [length, times] = steps >= 36 ? [Math.floor(steps / 4), 2] : [9, 1];
  const base = [...karrasSigmas(sigmas[0]!, sigmas.at(-2)!, steps - length * times), 0];
  const [low, high] = [nearest(base, DOWN_TO), nearest(base, BACK_UP_TO)];
  const once = high < low ? pairs(karrasSigmas(base[high]!, base[low]!, length + 1)) : [];
  const list = pairs(base);
  list.splice(low, 0, ...Array.from({ length: times }, () => once).flat());
  return list;
}

function pairs(sigmas: readonly number[]): (readonly [number, number])[] {
  return sigmas.slice(1).map((next, i) => [sigmas[i]!, next] as const);
}

/** Index of the value nearest to `target`, the first of equals. */
function nearest(values: readonly number[], target: number): number {
  return values.reduce((best, value, i) => (Math.abs(value - target) < Math.abs(values[best]! - target) ? i : best), 0);
}
