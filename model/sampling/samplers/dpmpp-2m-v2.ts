import { LatentState } from "../latent-state.ts";
import { intervals, type Sampling, type SigmaRun } from "../sampler.ts";

/**
 * "DPM++ 2M v2" of stable-diffusion.cpp: {@link dpmpp2m} whose correction weighs the longer of two neighbouring steps against the
 * shorter, and whose step is their mean. With h+ = max(h, h_previous), h- = min(h, h_previous):
 *
 *   x' = (sigma'/sigma) x + (1 - e^(-(h+ + h-)/2)) [(1 + h-/(2 h+)) D - h-/(2 h+) D_previous]
 */
export async function* dpmpp2mV2(run: SigmaRun): Sampling {
  const state = new LatentState(run);
  let previousH = 0;
  try {
    for (const { step, sigma, next } of intervals(run.sigmas)) {
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const ratio = next / sigma;
      const h = -Math.log(ratio);
      const [previous] = state.kept;
      if (previous === undefined || next === 0) {
        state.advance([
          [ratio, state.x],
          [1 - ratio, denoised],
        ]);
      } else {
        const correction = Math.min(h, previousH) / (2 * Math.max(h, previousH));
        const share = -Math.expm1(-(h + previousH) / 2);
        state.advance([
          [ratio, state.x],
          [share * (1 + correction), denoised],
          [-share * correction, previous],
        ]);
      }
      state.remember([[1, denoised]], 1);
      previousH = h;
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}
