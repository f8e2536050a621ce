import { ancestralSplit } from "../ancestral.ts";
import { LatentState } from "../latent-state.ts";
import type { Sampling, SigmaRun } from "../sampler.ts";
import { solverStep } from "./dpm-solver.ts";

/**
 * DPM-Solver-fast (Lu et al. 2022, Alg. 3 and appendix D.3; k-diffusion): n calls of the denoiser spent on third-order steps even in
 * ln sigma, with lower orders at the end so that the count comes out. Of the sigmas only the ends (the smallest above 0) and the
 * number of steps n count, and it stops at the smallest. With eta, each step goes down below its target and comes back up with noise.
 */
export async function* dpmFast(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    const { largest, smallest, orders } = fastOrders(run.sigmas);
    const h = Math.log(largest / smallest) / orders.length;
    for (const [step, order] of orders.entries()) {
      const sigma = largest * Math.exp(-step * h);
      const next = step === orders.length - 1 ? smallest : largest * Math.exp(-(step + 1) * h);
      const { down, up } = stepDown({ sigma, next, smallest, eta: run.eta });
      const { terms } = await solverStep(state, run.denoiser, { sigma, next: down, order });
      state.advance(terms, { scale: up, from: sigma, to: next });
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** The orders of the steps of a run, which add up to n. */
export function fastOrders(sigmas: readonly number[]): { largest: number; smallest: number; orders: (1 | 2 | 3)[] } {
  const n = sigmas.length - 1;
  const smallest = sigmas.findLast((sigma) => sigma > 0) ?? 0;
  const thirds = Array<3>(Math.floor(n / 3)).fill(3);
  const rest = n % 3;
  const orders = rest === 0 ? [...thirds.slice(1), 2 as const, 1 as const] : [...thirds, rest as 1 | 2];
  return { largest: sigmas[0]!, smallest, orders };
}

/** The ancestral split, held above the smallest sigma. */
export function stepDown({ sigma, next, smallest, eta }: Record<"sigma" | "next" | "smallest" | "eta", number>): {
  down: number;
  up: number;
} {
  if (eta === 0) return { down: next, up: 0 };
  const down = Math.max(smallest, ancestralSplit(sigma, next, eta).down);
  return { down, up: Math.sqrt(Math.max(next ** 2 - down ** 2, 0)) };
}
