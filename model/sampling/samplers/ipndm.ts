import type { Term } from "../../../kernels/combine.ts";
import { adamsBashforth } from "../adams-bashforth.ts";
import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * iPNDM (Zhang & Chen 2022, "improved" PNDM; ComfyUI): Adams-Bashforth of order up to 4 on d = (x - D)/sigma with the weights of even
 * steps, whatever the sigmas. The last step, to sigma' = 0, is x' = D.
 *
 *   x' = x + (sigma' - sigma) sum_j w_j d_{i-j}
 */
export async function* ipndm(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const [current, ...earlier] = adamsBashforth[state.kept.length]!.map((weight) => (next - sigma) * weight) as [
        number,
        ...number[],
      ];
      const x = state.x;
      const slope: Term[] = [
        [1 / sigma, x],
        [-1 / sigma, denoised],
      ];
      const terms: Term[] =
        next === 0
          ? [[1, denoised]]
          : [
              [1 + current / sigma, x],
              [-current / sigma, denoised],
              ...earlier.map((weight, j): Term => [weight, state.kept[j]!]),
            ];
      // The oldest slope is needed once more by `terms`.
      const kept = Math.min(state.kept.length + 1, adamsBashforth.length - 1);
      state.remember(slope, adamsBashforth.length);
      state.advance(terms);
      state.forget(kept);
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
