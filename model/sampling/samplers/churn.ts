import type { LatentState } from "../latent-state.ts";
import type { SigmaRun } from "../sampler.ts";

/**
 * Raises x from sigma to sigma^ = sigma (1 + gamma) with fresh noise (Karras et al. 2022, Alg. 2) and returns sigma^:
 *
 *   gamma = min(S_churn/N, sqrt(2) - 1) while S_tmin <= sigma <= S_tmax, else 0;    x^ = x + sqrt(sigma^^2 - sigma^2) z
 *
 * k-diffusion draws z in every step of a run with churn, used or not.
 */
export function churned(state: LatentState, { sigmas, churn }: SigmaRun, sigma: number): number {
  if (churn === undefined || churn.amount === 0) return sigma;
  const inside = churn.from <= sigma && sigma <= churn.to;
  const gamma = inside ? Math.min(churn.amount / (sigmas.length - 1), Math.SQRT2 - 1) : 0;
  const raised = sigma * (1 + gamma);
  if (gamma > 0) state.advance([[1, state.x]], { scale: Math.sqrt(raised ** 2 - sigma ** 2), from: sigma, to: raised });
  else state.dropNoise(sigma, sigma);
  return raised;
}
