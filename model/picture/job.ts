/** @file One picture on its way: what is asked for, how it will be made, and what is known so far. */
import { UsageError } from "../../engine/index.ts";
import type { ClipTokenizer } from "../../tokenizer/index.ts";
import type { ModelConfig } from "../checkpoint/config.ts";
import { printable } from "../checkpoint/printable.ts";
import { checkHires, expectNoInit, type Hires, secondPassOptions } from "../hires/index.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { ignoredOptions, NoiseSchedule, planSampling, randomSeed, type SamplingPlan } from "../sampling/index.ts";
import type { StageSize } from "../stages.ts";
import { type Conditioning, contextRows } from "../text/conditioning.ts";
import { type PromptPlans, planPrompts } from "../text/prompt-rules.ts";
import { type GenerateOptions, type Settings, settingsOf } from "./generation.ts";
import { prepareInit } from "./img2img.ts";
import type { Prepared } from "./inpaint.ts";
import { expectGenerateOptions } from "./option-kinds.ts";
import { defaultRefinerAt } from "./refiner.ts";
import { expectInit, type Start } from "./start.ts";

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

/** The second pass, and how its start is made from what the first one gave. */
export interface HiresJob extends Hires {
  readonly job: Job;
}

/** The rest of a picture, as its refiner makes it. */
export interface RefinerJob {
  readonly loaded: LoadedModel;
  readonly at: number;
  readonly job: Job;
}

export interface Job extends PlannedPicture {
  readonly options: GenerateOptions;
  readonly warnings: string[];
  readonly hires: HiresJob | undefined;
  readonly refiner: RefinerJob | undefined;
  /** Steps of passes before this one, and of all. */
  readonly steps: { readonly before: number; readonly total: number };
  /** The picture to start from, in the size that is made. */
  readonly prepared: Prepared | undefined;
  /** Its latent, once it is encoded. */
  start: Start | undefined;
  /** The prompts, once they are encoded. */
  conditioning: Conditioning | undefined;
  /** Free memory has been given back once for this picture. */
  memoryRecovered: boolean;
}

interface SecondPass {
  readonly strength: number;
  readonly firstCalls: number;
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
  /** Where this is the second pass. */
  second?: SecondPass,
): PlannedPicture {
  expectGenerateOptions(prompt, options);
  const firstSeed = options.seed ?? randomSeed();
  const first = settingsOf(config, { ...options, seed: firstSeed });
  const settings: Settings = second ? { ...first, strength: second.strength, stepRule: "exact" } : first;
  const { zeroTerminalSnr = config.schedule.zeroTerminalSnr } = options;
  const schedule =
    zeroTerminalSnr === config.schedule.zeroTerminalSnr ? own : new NoiseSchedule({ ...config.schedule, zeroTerminalSnr });
  const plan = planSampling(schedule, { ...settings, sdxl: config.family.startsWith("sdxl") });
  const calls = callsOf(settings, plan);
  const spread = second ? { calls: second.firstCalls, hiresCalls: calls } : { calls };
  const prompts = planPrompts(tokenizer, { prompt, negative: options.negative ?? "" }, spread, options);
  const guidedParts = partsToGuide(config, settings, plan, prompts);
  const { width, height, clipSkip } = settings;
  const size = {
    width,
    height,
    clipSkip,
    guidedParts,
    contextRows: contextRows(prompts, guidedParts > 0),
    tiling: options.tiling === true,
    vaeTile: options.vaeTile,
  };
  return { firstSeed, settings, plan, schedule, prompts, size };
}

/** Model calls that prompt editing counts, as the web UI does. */
function callsOf({ steps }: Settings, { choice }: SamplingPlan): number {
  return Math.max(1, steps) * (choice.sampler.secondOrder ? 2 : 1);
}

/** @throws UsageError those of planPicture and checkHires; HIRES_WITH_INIT; INIT_MISSING */
export function newJob(model: PlanningModel, prompt: string, options: GenerateOptions): Job {
  const first = planPicture(model, prompt, options);
  const warnings: string[] = [];
  if (!options.hires) {
    const job = jobOf(model.config, first, options, { warnings, before: 0, total: first.plan.yields });
    return { ...job, refiner: refinerJob(prompt, job) };
  }
  expectNoInit(options.hires, options.init);
  const hires = checkHires(options.hires, first.settings, model.config.vae.factor);
  const again = { ...secondPassOptions(options, first.settings, options.hires, hires.target.size), seed: first.firstSeed };
  const firstCalls = callsOf(first.settings, first.plan);
  const text = options.hires.prompt ?? prompt;
  const place = { strength: hires.strength, firstCalls };
  const second = planPicture(model, text, again, place);
  const total = first.plan.yields + second.plan.yields;
  const job = jobOf(model.config, second, again, { warnings, before: first.plan.yields, total });
  const last = { ...job, refiner: refinerJob(text, job, place) };
  return { ...jobOf(model.config, first, options, { warnings, before: 0, total }), hires: { ...hires, job: last } };
}

/** What the refiner is to do in the place of `job`'s own model: it reads the prompts with its own text encoder. */
function refinerJob(prompt: string, job: Job, second?: SecondPass): RefinerJob | undefined {
  const { options, settings, steps, firstSeed } = job;
  if (!options.refiner) return undefined;
  const { model, at = defaultRefinerAt } = options.refiner;
  const { width, height, steps: count, guidance, sampler, schedule } = settings;
  const same = { width, height, steps: count, guidance, sampler, schedule, seed: firstSeed, sigmas: settings.sigmas };
  const own = { ...options, ...same, refiner: undefined, hires: undefined, init: undefined, loras: undefined };
  const planned = planPicture(model, prompt, own, second);
  return {
    loaded: model.loaded,
    at,
    job: jobOf(model.config, planned, own, { warnings: [], before: steps.before, total: steps.total }),
  };
}

function jobOf(
  config: ModelConfig,
  planned: PlannedPicture,
  options: GenerateOptions,
  { warnings, ...steps }: Pick<Job, "warnings"> & Job["steps"],
): Job {
  const { choice } = planned.plan;
  if (choice.scheduleIgnored && options.schedule !== undefined)
    warnings.push(`sampler ${choice.sampler.name} has timesteps of its own: schedule ${options.schedule} is ignored`);
  // A second pass has mostly the first one's sampler.
  warnings.push(...ignoredOptions(choice.sampler, options).filter((text) => !warnings.includes(text)));
  if (options.clipSkip !== undefined && options.clipSkip > 1 && config.family !== "sd1")
    warnings.push("clip skip is for SD 1 models: this one has a layer of its own, and it is ignored");
  for (const { unknownEmbeddings } of [planned.prompts.prompt, planned.prompts.negative])
    warnings.push(...unknownEmbeddings.map((name) => `no textual inversion is called ${printable(name)}: it is passed over`));
  expectInit(config, options.init);
  const prepared = options.init && prepareInit(options.init, planned.settings);
  return {
    ...planned,
    options,
    warnings,
    hires: undefined,
    refiner: undefined,
    steps,
    prepared,
    start: undefined,
    conditioning: undefined,
    memoryRecovered: false,
  };
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
    const single = guidanceRescale > 0 ? "guidance rescale" : "this model";
    throw new UsageError("TOO_MANY_PARTS", `the prompt joins ${parts} parts by AND, but ${single} takes one`, {
      hint: "join them with a comma",
      context: { parts },
    });
  }
  const plain = parts === 1 && guidance * guidanceFactor * weight === 1;
  return plain && !needsNegative ? 0 : parts;
}
