/** @file What a user may ask of a run of a sampler, checked. */

import { UsageError } from "../../engine/errors.ts";
import type { Compatibility } from "./compatibility.ts";
import type { NoiseSchedule } from "./noise-schedule.ts";
import type { ScheduleOptions } from "./schedules.ts";
import type { StepRule } from "./strength.ts";

export interface SamplingNames {
  /** A sampler's name, alias or A1111 label, which may end in a schedule's: "euler_a", "DPM++ 2M Karras". Default dpmpp_2m. */
  readonly sampler?: string | undefined;
  /** A schedule's name, alias or A1111 label; goes before one in the sampler's label. Default: what the sampler implies. */
  readonly schedule?: string | undefined;
}

export interface PlanOptions extends SamplingNames, ScheduleOptions {
  readonly steps: number;
  /** 0..1; default: the sampler's own. */
  readonly eta?: number | undefined;
  /** Noise levels in the place of a schedule's and of `steps`: falling, usually to 0. */
  readonly sigmas?: readonly number[] | undefined;
  /** S_churn of euler, heun and dpm_2, from 0 up, and the sigmas between which it happens. Default 0, everywhere. */
  readonly churn?: number | undefined;
  readonly churnMin?: number | undefined;
  readonly churnMax?: number | undefined;
  /** What a k-space sampler's fresh noise is multiplied by (S_noise). Default 1. */
  readonly noiseScale?: number | undefined;
  /** Leave out the sigma before the last, of one more than asked for. Default: as the sampler does in A1111. */
  readonly discardPenultimate?: boolean | undefined;
  /** Whose rules: see compatibility.ts. Default: limn's own. */
  readonly compat?: Compatibility | undefined;
  /** 0..1: how much of a picture's latent to replace; left out, the run starts from noise alone. See strength.ts. */
  readonly strength?: number | undefined;
  /** Default: scaled. */
  readonly stepRule?: StepRule | undefined;
  /** SDXL has Align Your Steps levels of its own. */
  readonly sdxl?: boolean | undefined;
}

/** @throws UsageError INVALID_STEPS, INVALID_SIGMAS, INVALID_STRENGTH, INVALID_ETA, INVALID_CHURN, INVALID_CHURN_RANGE, INVALID_NOISE_SCALE, INVALID_SIGMA_RANGE, INVALID_RHO, INVALID_BETA_ALPHA, INVALID_BETA_BETA */
export function checkPlanOptions({ timesteps, sigmaMin, sigmaMax }: NoiseSchedule, options: PlanOptions): void {
  const { steps, sigmas, eta = 0, strength = 0, churn = 0, churnMin = 0, churnMax = churnMin, noiseScale = 1, rho = 1 } = options;
  if (sigmas !== undefined) checkSigmas(sigmas);
  else if (!Number.isInteger(steps) || steps < 1 || steps > timesteps)
    throw invalid("INVALID_STEPS", { steps }, `is not a whole number from 1 to ${timesteps}`, "20 to 50 is usual");
  if (!(eta >= 0 && eta <= 1))
    throw invalid("INVALID_ETA", { eta }, "is not within 0 and 1", "0 adds no noise, 1 as much as DDPM");
  if (!(strength >= 0 && strength <= 1))
    throw invalid("INVALID_STRENGTH", { strength }, "is not within 0 and 1", "0 keeps the picture, 1 replaces it");
  if (!fromZero(churn)) throw invalid("INVALID_CHURN", { churn }, "is not a number from 0 up", "0 switches churn off");
  if (!fromZero(churnMin)) throw invalid("INVALID_CHURN_RANGE", { churnMin }, "is not a number from 0 up", "0 sets no limit");
  if (!(churnMax >= churnMin))
    throw invalid("INVALID_CHURN_RANGE", { churnMax }, `is below churnMin, ${churnMin}`, "leave it out for no limit");
  if (!fromZero(noiseScale)) throw invalid("INVALID_NOISE_SCALE", { noiseScale }, "is not a number from 0 up", "1 is usual");
  if (!(rho > 0 && rho < 1000))
    throw invalid(
      "INVALID_RHO",
      { rho },
      "is not a number above 0 and below 1000",
      "7 is usual for karras, 1 for polyexponential",
    );
  const shapes = {
    betaAlpha: ["INVALID_BETA_ALPHA", options.betaAlpha],
    betaBeta: ["INVALID_BETA_BETA", options.betaBeta],
  } as const;
  for (const [name, [code, value]] of Object.entries(shapes)) {
    if (value !== undefined && !(value >= 0.01 && value <= 50))
      throw invalid(code, { [name]: value }, "is not within 0.01 and 50", "0.6 is usual, 1 spaces evenly");
  }
  const [least, most] = [options.sigmaMin ?? sigmaMin, options.sigmaMax ?? sigmaMax];
  if (!(least > 0 && most > least && most < Number.POSITIVE_INFINITY)) {
    throw new UsageError("INVALID_SIGMA_RANGE", `sigmaMin, sigmaMax: ${least} and ${most} are no range above 0`, {
      hint: `the model's own is ${sigmaMin} to ${sigmaMax}`,
      context: { sigmaMin: least, sigmaMax: most },
    });
  }
}

function fromZero(value: number): boolean {
  return value >= 0 && value < Number.POSITIVE_INFINITY;
}

function checkSigmas(sigmas: readonly number[]): void {
  const wrong = sigmas.findIndex((sigma, i) => !(sigma >= 0 && sigma < (sigmas[i - 1] ?? Number.POSITIVE_INFINITY)));
  if (sigmas.length >= 2 && wrong === -1) return;
  const fact =
    sigmas.length < 2
      ? `${sigmas.length} values make no step`
      : `value ${wrong + 1}, ${sigmas[wrong]}, doesn't go down towards 0`;
  throw new UsageError("INVALID_SIGMAS", `sigmas: ${fact}`, {
    hint: "give at least two, falling, such as 14.6,6.5,2.7,0.97,0.15,0",
    context: { sigmas: [...sigmas] },
  });
}

function invalid(code: string, option: Readonly<Record<string, number>>, fact: string, hint: string): UsageError {
  const [[name, value] = []] = Object.entries(option);
  return new UsageError(code, `${name}: ${value} ${fact}`, { hint, context: option });
}
