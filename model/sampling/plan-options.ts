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

/** @throws UsageError INVALID_STEPS, INVALID_SIGMAS, INVALID_STRENGTH, INVALID_ETA, INVALID_CHURN (_MIN, _MAX), INVALID_NOISE_SCALE, INVALID_SIGMA_RANGE, INVALID_RHO */
export function checkPlanOptions({ timesteps, sigmaMin, sigmaMax }: NoiseSchedule, options: PlanOptions): void {
  const { steps, sigmas } = options;
  if (sigmas !== undefined) checkSigmas(sigmas);
  else if (!Number.isInteger(steps) || steps < 1 || steps > timesteps)
    throw invalid("steps", steps, `is not a whole number from 1 to ${timesteps}`, "20 to 50 is usual");
  if (options.eta !== undefined && !(options.eta >= 0 && options.eta <= 1))
    throw invalid("eta", options.eta, "is not within 0 and 1", "0 adds no noise, 1 as much as DDPM");
  if (options.strength !== undefined && !(options.strength >= 0 && options.strength <= 1))
    throw invalid("strength", options.strength, "is not within 0 and 1", "0 keeps the picture, 1 replaces it");
  for (const name of ["churn", "churnMin", "noiseScale"] as const) {
    const value = options[name];
    if (value !== undefined && !(value >= 0 && value < Number.POSITIVE_INFINITY))
      throw invalid(name, value, "is not a number from 0 up", name === "noiseScale" ? "1 is usual" : "0 switches churn off");
  }
  if (options.churnMax !== undefined && !(options.churnMax >= (options.churnMin ?? 0)))
    throw invalid("churnMax", options.churnMax, `is below churnMin, ${options.churnMin ?? 0}`, "leave it out for no limit");
  if (options.rho !== undefined && !(options.rho > 0 && options.rho < 1000))
    throw invalid("rho", options.rho, "is not a number above 0 and below 1000", "7 is usual for karras, 1 for polyexponential");
  const [least, most] = [options.sigmaMin ?? sigmaMin, options.sigmaMax ?? sigmaMax];
  if (!(least > 0 && most > least && most < Number.POSITIVE_INFINITY)) {
    throw new UsageError("INVALID_SIGMA_RANGE", `sigmaMin, sigmaMax: ${least} and ${most} are no range above 0`, {
      hint: `the model's own is ${sigmaMin} to ${sigmaMax}`,
      context: { sigmaMin: least, sigmaMax: most },
    });
  }
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

function invalid(name: string, value: number, fact: string, hint: string): UsageError {
  const code = `INVALID_${name.replaceAll(/[A-Z]/g, "_$&").toUpperCase()}`;
  return new UsageError(code, `${name}: ${value} ${fact}`, { hint, context: { [name]: value } });
}
