/** @file One picture on its way: what is asked for, how it will be made, and what is known so far. */
import { UsageError } from "../engine/index.ts";
import type { ClipTokenizer } from "../tokenizer/index.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { type GenerateOptions, type Settings, settingsOf } from "./generation.ts";
import { prepareInit } from "./img2img.ts";
import type { Prepared } from "./inpaint.ts";
import { NoiseSchedule, planSampling, randomSeed, type SamplingPlan } from "./sampling/index.ts";
import type { StageSize } from "./stages.ts";
import { expectInit, type Start } from "./start.ts";
import { type Conditioning, contextRows } from "./text/conditioning.ts";
import { type PromptPlans, planPrompts } from "./text/prompt-rules.ts";

/** All that can be said of a picture before anything is computed. */
export interface PlannedPicture {
  /** Of the batch's first picture. */
  readonly firstSeed: bigint;
  readonly settings: Settings;
  readonly plan: SamplingPlan;
  /** The model's, or shifted to zero terminal signal. */
  readonly schedule: NoiseSchedule;
  readonly prompts: PromptPlans;
  readonly size: StageSize;
}

export interface Job extends PlannedPicture {
  readonly options: GenerateOptions;
  readonly warnings: string[];
  /** The picture to start from, in the size that is made. */
  readonly prepared: Prepared | undefined;
  /** Its latent, once it is encoded. */
  start: Start | undefined;
  /** The prompts, once they are encoded. */
  conditioning: Conditioning | undefined;
  /** Free memory has been given back once for this picture. */
  memoryRecovered: boolean;
}

/** What planning needs to know of a model. */
export interface PlanningModel {
  readonly config: ModelConfig;
  readonly schedule: NoiseSchedule;
  readonly tokenizer: ClipTokenizer;
}

/** @throws UsageError for anything that can't be */
export function planPicture(
  { config, schedule: own, tokenizer }: PlanningModel,
  prompt: string,
  options: GenerateOptions,
): PlannedPicture {
  const firstSeed = options.seed ?? randomSeed();
  const settings = settingsOf(config, { ...options, seed: firstSeed });
  const { zeroTerminalSnr = config.schedule.zeroTerminalSnr } = options;
  const schedule =
    zeroTerminalSnr === config.schedule.zeroTerminalSnr ? own : new NoiseSchedule({ ...config.schedule, zeroTerminalSnr });
  const plan = planSampling(schedule, { ...settings, sdxl: config.family.startsWith("sdxl") });
  const calls = Math.max(1, settings.steps) * (plan.choice.sampler.secondOrder ? 2 : 1);
  const prompts = planPrompts(tokenizer, { prompt, negative: options.negative ?? "" }, { calls }, options);
  const guidedParts = partsToGuide(config, settings, plan, prompts);
  const { width, height, clipSkip } = settings;
  const size = { width, height, clipSkip, guidedParts, contextRows: contextRows(prompts, guidedParts > 0) };
  return { firstSeed, settings, plan, schedule, prompts, size };
}

export function newJob(config: ModelConfig, planned: PlannedPicture, options: GenerateOptions): Job {
  const { choice } = planned.plan;
  const warnings: string[] = [];
  if (choice.scheduleIgnored && options.schedule !== undefined)
    warnings.push(`sampler ${choice.sampler.name} has timesteps of its own: schedule ${options.schedule} is ignored`);
  if (options.clipSkip !== undefined && options.clipSkip > 1 && config.family !== "sd1")
    warnings.push("clip skip is for SD 1 models: this one has a layer of its own, and it is ignored");
  expectInit(config, options.init);
  const prepared = options.init && prepareInit(options.init, planned.settings);
  return { ...planned, options, warnings, prepared, start: undefined, conditioning: undefined, memoryRecovered: false };
}

/** How many parts of the prompt are set against the negative one: none where the prompt alone gives the same. */
function partsToGuide(
  { variant, unet }: ModelConfig,
  { guidance, guidanceRescale }: Settings,
  { guidanceFactor, needsNegative }: SamplingPlan,
  { prompt }: PromptPlans,
): number {
  const parts = prompt.parts.length;
  const weight = prompt.parts[0]?.weight ?? 1;
  if (parts > 1 && (variant === "pix2pix" || unet.guidanceDim !== undefined || guidanceRescale > 0)) {
    const with_ = guidanceRescale > 0 ? "guidance rescale" : "this model";
    throw new UsageError("TOO_MANY_PARTS", `the prompt joins ${parts} parts by AND, but ${with_} takes one`, {
      hint: "join them with a comma",
      context: { parts },
    });
  }
  const plain = parts === 1 && guidance * guidanceFactor * weight === 1;
  return plain && !needsNegative ? 0 : parts;
}
