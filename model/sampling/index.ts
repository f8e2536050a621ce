/** @file Noise schedules, seeds and samplers. */

export {
  type Compatibility,
  type CompatibilityRules,
  compatibilities,
  type NoiseSource,
  noiseSources,
  ownRules,
  rulesOf,
} from "./compatibility.ts";
export { ignoredOptions } from "./ignored-options.ts";
export { LatentNoise, type LatentShape, type NoiseOptions } from "./latent-noise.ts";
export { editDistance, nearestName } from "./nearest-name.ts";
export { alphaBarToSigma, NoiseSchedule, type NoiseScheduleConfig } from "./noise-schedule.ts";
export type { PlanOptions, SamplingNames } from "./plan-options.ts";
export { BrownianTree } from "./rng/brownian-tree.ts";
export type { Generator } from "./rng/generator.ts";
export { PhiloxGenerator } from "./rng/philox.ts";
export { TorchCpuGenerator } from "./rng/torch-cpu.ts";
export type {
  BothDenoised,
  Churn,
  Denoiser,
  DrawNoise,
  NoiseLevel,
  Run,
  SamplerStep,
  Sampling,
  SigmaRun,
  SigmaSampler,
  TimestepRun,
  TimestepSampler,
} from "./sampler.ts";
export { type SamplerEntry, type SigmaSamplerEntry, samplers, type TimestepSamplerEntry } from "./sampler-table.ts";
export { resolveSampler, resolveSampling, type SamplingChoice } from "./sampling-choice.ts";
export { planSampling, type SamplingPlan } from "./sampling-plan.ts";
export { resolveSchedule, type ScheduleEntry, schedules } from "./schedule-table.ts";
export { defaultBetaShape } from "./schedules.ts";
export { batchSeed, parseSeed, randomSeed } from "./seed.ts";
export { type StepRule, stepRules } from "./strength.ts";
export { leadingTransitions, type Transition } from "./transitions.ts";
