import type { Term } from "../../../kernels/combine.ts";
import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma } from "../noise-schedule.ts";
import type { Sampling, TimestepRun } from "../sampler.ts";
import { ddimCoefficients } from "./ddim.ts";

/** Adams-Bashforth weights of orders 1 to 4, newest first (Liu et al. 2022, eq. 12). */
const WEIGHTS: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/**
 * PLMS, the pseudo linear multistep method (Liu et al. 2022, eq. 9 and 12), as diffusers' PNDMScheduler without Runge-Kutta
 * steps: DDIM's deterministic step with eps replaced by a weighted sum of the last four.
 *
 * There is no history at the first step, so it is taken twice: once with eps alone, then again from the start with the mean of
 * eps there and at the end. It yields (and calls the denoiser) once more than there are transitions.
 */
export async function* plms(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  let step = 0;
  try {
    for (const [index, transition] of run.transitions.entries()) {
      const eps = await run.denoiser.eps(state.x, transition.timestep);
      const { ofX, ofEps } = ddimCoefficients(transition, 0);
      const sigma = alphaBarToSigma(transition.nextAlphaBar);
      const weights = WEIGHTS[state.kept.length]!;
      const terms: Term[] = [
        [ofX, state.x],
        [ofEps * weights[0]!, eps],
        ...state.kept.map((kept, j): Term => [ofEps * weights[j + 1]!, kept]),
      ];
      const second = run.transitions[1];
      if (index === 0 && second !== undefined) {
        state.remember([[1, eps]], WEIGHTS.length - 1);
        const predicted = state.trial(terms);
        yield { step: step++, sigma, latent: predicted };
        const epsAtEnd = await run.denoiser.eps(predicted, second.timestep);
        state.advance([
          [ofX, state.x],
          [ofEps / 2, state.kept[0]!],
          [ofEps / 2, epsAtEnd],
        ]);
      } else {
        state.advance(terms);
        state.remember([[1, eps]], WEIGHTS.length - 1);
      }
      yield { step: step++, sigma, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
