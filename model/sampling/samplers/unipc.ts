import type { Term } from "../../../kernels/combine.ts";
import { LatentState } from "../latent-state.ts";
import type { Sampling, SigmaRun, SigmaSampler } from "../sampler.ts";

export interface UniPcOptions {
  /** Order of predictor and corrector, at most 3. */
  readonly order: 1 | 2 | 3;
  /** B(h) of the paper: -h or e^-h - 1. */
  readonly variant: "bh1" | "bh2";
}

/**
 * UniPC (Zhao et al. 2023, Alg. 5 to 8, data prediction, multistep): before each step x is corrected with the D found there, then a
 * predictor of the same order goes on from the corrected latent. With lambda = -ln sigma, h = lambda' - lambda, r_i = (lambda_i -
 * lambda)/h for earlier steps i:
 *
 *   predictor:  x' = (sigma'/sigma) x + (1 - e^-h) D - B sum_i rho_i (D_i - D)/r_i
 *   corrector:  the same with one more term, - B rho (D' - D), where D' is D(x'; sigma')
 *   rho solves  sum_j r_j^(k-1) rho_j = b_k, k = 1..p    with r_p = 1 for the corrector's last term
 *
 * The last step falls to first order and isn't corrected. A run that ends above sigma 0 ends in VP space, as A1111's does at its
 * timestep 0.
 */
export function unipc({ order, variant }: UniPcOptions): SigmaSampler {
  return (run) => predictAndCorrect(run, order, variant);
}

async function* predictAndCorrect(run: SigmaRun, order: number, variant: UniPcOptions["variant"]): Sampling {
  const state = new LatentState(run);
  const { sigmas } = run;
  const steps = sigmas.length - 1;
  /** Order of the step before: warmed up from 1, and down to 1 at the end. */
  const orderAt = (step: number) => Math.min(order, step + 1, steps - step);
  try {
    for (let step = 0; step < steps; step++) {
      const [sigma, next] = [sigmas[step]!, sigmas[step + 1]!];
      const denoised = await run.denoiser.denoise(state.x, sigma);
      const corrected =
        step === 0
          ? state.keepBase([[1, state.x]])
          : state.keepBase(update(sigmas, step - 1, orderAt(step - 1), variant, state.base!, state.kept, denoised));
      state.remember([[1, denoised]], order);
      const last = step === steps - 1;
      // alphaBar's root where the run ends: 1 at sigma 0.
      const scale = last ? 1 / Math.sqrt(next ** 2 + 1) : 1;
      const terms: Term[] =
        next === 0 ? [[1, denoised]] : update(sigmas, step, orderAt(step), variant, corrected, state.kept, undefined);
      state.advance(terms.map(([coefficient, tensor]) => [scale * coefficient, tensor]));
      yield { step, sigma: next, latent: state.x };
    }
    return state.finish();
  } finally {
    state.free();
  }
}

/** The step `step` of order p from `x` with the D's kept, newest first; with `arrived` = D' it is the corrector. */
function update(
  sigmas: readonly number[],
  step: number,
  order: number,
  variant: UniPcOptions["variant"],
  x: Term[1],
  kept: readonly Term[1][],
  arrived: Term[1] | undefined,
): Term[] {
  const [sigma, next] = [sigmas[step]!, sigmas[step + 1]!];
  const h = Math.log(sigma / next);
  const base = variant === "bh1" ? -h : Math.expm1(-h);
  const ratios = Array.from({ length: order - 1 }, (_, i) => Math.log(sigma / sigmas[step - i - 1]!) / h);
  const points = arrived === undefined ? ratios : [...ratios, 1];
  const rho = weights(h, base, points);
  // Factors of (D_i - D); D itself gets what they take away.
  const factors = ratios.map((ratio, i) => (-base * rho[i]!) / ratio);
  const last = arrived === undefined ? 0 : -base * rho.at(-1)!;
  const terms: Term[] = [
    [next / sigma, x],
    [-Math.expm1(-h) - factors.reduce((total, factor) => total + factor, last), kept[0]!],
    ...factors.map((factor, i): Term => [factor, kept[i + 1]!]),
  ];
  if (arrived !== undefined) terms.push([last, arrived]);
  return terms;
}

/** rho for the points r_i: 1/2 where there is one, as the authors simplify it. */
function weights(h: number, base: number, points: readonly number[]): number[] {
  if (points.length < 2) return points.map(() => 0.5);
  // b_k = phi_{k+1}(-h) k!/B in the authors' recursion.
  let phi = Math.expm1(-h) / -h - 1;
  let factorial = 1;
  const right: number[] = [];
  for (let k = 1; k <= points.length; k++) {
    right.push((phi * factorial) / base);
    factorial *= k + 1;
    phi = phi / -h - 1 / factorial;
  }
  return solve(
    points.map((_, k) => points.map((point) => point ** k)),
    right,
  );
}

/** Gaussian elimination with pivots. */
function solve(matrix: number[][], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  const n = rows.length;
  for (let column = 0; column < n; column++) {
    const pivot = rows.slice(column).reduce((best, row, i) => {
      return Math.abs(row[column]!) > Math.abs(rows[best]![column]!) ? column + i : best;
    }, column);
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = 0; i < n; i++) {
      if (i === column) continue;
      const factor = rows[i]![column]! / rows[column]![column]!;
      rows[i] = rows[i]!.map((value, j) => value - factor * rows[column]![j]!);
    }
  }
  return rows.map((row, i) => row[n]! / row[i]!);
}
