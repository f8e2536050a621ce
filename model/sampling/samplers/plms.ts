import type { Term } from "../../../kernels/combine.ts";
import { adamsBashforth } from "../adams-bashforth.ts";
import { LatentState } from "../latent-state.ts";
import { alphaBarToSigma } from "../noise-schedule.ts";
import type { NoiseLevel, Sampling, TimestepRun } from "../sampler.ts";
import type { Transition } from "../transitions.ts";

/**
 * PLMS, the pseudo linear multistep method (Liu et al. 2022, eq. 9 and 12), as diffusers' PNDMScheduler without Runge-Kutta
 * steps: DDIM's deterministic step with eps replaced by a weighted sum of the last four.
 *
 * There is no history at the first step, so it is taken twice: once with eps alone, then again from the start with the mean of
 * eps there and at the end. It yields (and calls the denoiser) once more than there are transitions. diffusers leaves that out where
 * the first step is the only one; the original and A1111 don't.
 */
export async function* plms(run: TimestepRun): Sampling {
  const state = new LatentState(run);
  let step = 0;
  try {
    for (const [index, transition] of run.transitions.entries()) {
      const eps = await run.denoiser.eps(state.x, transition);
      const { ofX, ofEps } = ddimCoefficients(transition);
      const sigma = alphaBarToSigma(transition.nextAlphaBar);
      const weights = adamsBashforth[state.kept.length]!;
      const terms: Term[] = [
        [ofX, state.x],
        [ofEps * weights[0]!, eps],
        ...state.kept.map((kept, j): Term => [ofEps * weights[j + 1]!, kept]),
      ];
      const end = index === 0 ? endOfFirst(run.transitions) : undefined;
      if (end !== undefined) {
        state.remember([[1, eps]], adamsBashforth.length - 1);
        const predicted = state.trial(terms);
        yield { step: step++, sigma, latent: predicted };
        const epsAtEnd = await run.denoiser.eps(predicted, end);
        state.advance([
          [ofX, state.x],
          [ofEps / 2, state.kept[0]!],
          [ofEps / 2, epsAtEnd],
        ]);
      } else {
        state.advance(terms);
        state.remember([[1, eps]], adamsBashforth.length - 1);
      }
      yield { step: step++, sigma, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** Where the model is asked at the end of the first step, if it is. */
export function endOfFirst([first, second]: readonly Transition[]): NoiseLevel | undefined {
  return second ?? first?.end;
}

/** DDIM's deterministic step in terms of eps: x' = ofX x + ofEps eps (Song et al. 2021, eq. 12 with x0 put in). */
function ddimCoefficients({ alphaBar, nextAlphaBar }: Transition): { ofX: number; ofEps: number } {
  return {
    ofX: Math.sqrt(nextAlphaBar / alphaBar),
    ofEps: Math.sqrt(1 - nextAlphaBar) - Math.sqrt((nextAlphaBar * (1 - alphaBar)) / alphaBar),
  };
}
