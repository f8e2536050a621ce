/**
 * @file What a picture will take before anything of it is loaded: weights and activations by phase, what has to be cut into bands,
 * whether it fits. Nothing is estimated: the work is recorded as `generate` records it, on a GPU that keeps no memory.
 */
import { type Capture, LimnError, type Tensor, type Tier } from "../../engine/index.ts";
import type { ModelConfig } from "../checkpoint/config.ts";
import { stagingBytes } from "../checkpoint/gpu-unpacker.ts";
import { type LoadOptions, type OpenModel, openModel, weightsOf } from "../load.ts";
import { type GenerateOptions, settingsOf } from "../picture/generation.ts";
import { expectSameLatents } from "../picture/refiner.ts";
import { NoiseSchedule } from "../sampling/index.ts";
import { type StageName, Stages, stageNames, stageWords } from "../stages.ts";
import type { EncodeStage } from "../vae/encode-stage.ts";
import { usualTile } from "../vae/tiles.ts";
import { type Capabilities, dryDevice } from "./dry-gpu.ts";
import { launchMemory, type SplitTensor } from "./launches.ts";

export interface PlanOptions extends Pick<LoadOptions, "vae" | "maxHeader"> {
  readonly tier?: Tier;
  readonly precision?: "auto" | "f32" | "f16";
  readonly size?: Pick<GenerateOptions, "width" | "height" | "guidance" | "vaeTile">;
  /** Text encoder and VAE leave the GPU while they have nothing to do. */
  readonly lowMemory?: boolean;
  /** A picture is encoded, too. */
  readonly fromPicture?: boolean;
  /** A second model for the last steps. */
  readonly refiner?: LoadOptions["vae"];
  /** Bytes that weights and activations may take; WebGPU does not tell how many there are. */
  readonly memory?: number | undefined;
}

/** The refiner, whose weights and work are those of all its stages, is loaded beside the model. */
export type PhaseName = StageName | "refiner";
export const phaseWords: Readonly<Record<PhaseName, string>> = { ...stageWords, refiner: "refiner" };

export interface PhasePlan {
  readonly phase: PhaseName;
  readonly weightBytes: number;
  /** Most bytes of activations at once. All phases share the buffers that the plan's `activationBytes` counts. */
  readonly peakActivationBytes: number;
  readonly largestTensorBytes: number;
  readonly dispatches: number;
  readonly splits: readonly SplitTensor[];
}

export interface MemoryPlan {
  readonly config: ModelConfig;
  readonly width: number;
  readonly height: number;
  readonly tier: Tier;
  /** Storage of weights and activations. */
  readonly precision: "f32" | "f16";
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  /** Side of the VAE's tiles in pixels; undefined: the whole at once. */
  readonly vaeTile?: number | undefined;
  /** Empty where `problem` kept the work from being recorded. */
  readonly phases: readonly PhasePlan[];
  readonly weightBytes: number;
  /** The buffers that all phases share. */
  readonly activationBytes: number;
  /** The most that this picture takes on the GPU, inputs and the sampler's latents included. */
  readonly totalBytes: number;
  readonly fits: boolean;
  /** Why it does not fit. */
  readonly problem: { readonly message: string; readonly hint: string | undefined } | undefined;
}

/** @throws ModelFileError those of `openModel`, UsageError for a size that no picture has and REFINER_MISMATCH */
export async function planModel(
  source: Parameters<typeof openModel>[0],
  like: Capabilities,
  options: PlanOptions = {},
): Promise<MemoryPlan> {
  const { tier, precision, memory, vae, maxHeader, lowMemory = false, fromPicture = false } = options;
  const device = await dryDevice(like, { ...(tier && { tier }), ...(precision && { precision }) });
  const model = await openModel(source, { device, vae, maxHeader });
  const refiner = options.refiner && (await openModel(options.refiner, { device, maxHeader }));
  const { config } = model;
  if (refiner) expectSameLatents(refiner.config, config);
  const { width, height, guidance } = settingsOf(config, options.size ?? {});
  const known = {
    config,
    width,
    height,
    tier: device.tier,
    precision: device.storage,
    maxBindingBytes: device.limits.maxStorageBufferBindingSize,
    maxBufferBytes: device.limits.maxBufferSize,
  };
  const { storage } = device;
  try {
    const vaeTile = options.size?.vaeTile ?? (lowMemory ? usualTile : undefined);
    const stagesOf = ({ config, makeModules }: OpenModel) =>
      new Stages(
        { device, config, schedule: new NoiseSchedule(config.schedule) },
        makeModules(),
        { width, height, guidedParts: guidance === 1 ? 0 : 1, contextRows: 77, clipSkip: 1, vaeTile },
        { text: storage, unet: storage, vae: storage },
      );
    const stages = stagesOf(model);
    const before = refiner ? device.activationBytes : 0;
    const second = refiner && { model: refiner, stages: stagesOf(refiner) };
    // As in a run: the encoder finds the others' buffers made.
    const encode = fromPicture && device.activationBytes > 0 ? stages.encode(model.makeEncoder()) : undefined;
    const { activationBytes } = device;
    const phaseOf = (phase: PhaseName, captures: readonly Capture<unknown>[], weights: readonly Tensor[]): PhasePlan =>
      planPhase(phase, captures, weights, known.maxBindingBytes);
    const own = stageNames.map((phase) =>
      phaseOf(phase, capturesOf(stages, encode)[phase], weightsOf(phase, config, model.checkpoints)),
    );
    const phases = second
      ? [...own, phaseOf("refiner", Object.values(capturesOf(second.stages)).flat(), allWeights(second.model))]
      : own;
    // Guidance and masks leave as many latents outside the slots, at most.
    const all = device.memory.totalBytes + stages.latents.whole.bytes;
    const guests = [model, ...(refiner ? [refiner] : [])].flatMap(guestBytes);
    const away = lowMemory ? sum(guests) - Math.max(...guests) : 0;
    // What loading takes beside the weights is given back before the activations of the model that is loaded are taken.
    const names = [model, ...(refiner ? [refiner] : [])].flatMap(({ checkpoints }) =>
      checkpoints.map(({ tensors }) => tensors.length),
    );
    const loading = Math.max(0, stagingBytes(device, sum(names)) - (activationBytes - before));
    const totalBytes = all + loading - away;
    const tooMuch = memory !== undefined && totalBytes > memory;
    return {
      ...known,
      vaeTile: stages.decode.tile,
      phases,
      weightBytes: sum(phases.map(({ weightBytes }) => weightBytes)),
      activationBytes,
      totalBytes,
      fits: !tooMuch,
      problem: tooMuch ? tooLittleMemory(totalBytes, memory, storage) : undefined,
    };
  } catch (error) {
    if (!(error instanceof LimnError) || !["BINDING_TOO_LARGE", "GPU_BUFFER_TOO_LARGE", "SHAPE"].includes(error.code))
      throw error;
    const bytes = weightBytes([model, ...(refiner ? [refiner] : [])].flatMap(allWeights));
    const problem = { message: error.message, hint: error.hint };
    return { ...known, phases: [], weightBytes: bytes, activationBytes: 0, totalBytes: bytes, fits: false, problem };
  }
}

/** What each phase replays, its longest work last. */
function capturesOf({ text, denoiser, decode }: Stages, encode?: EncodeStage): Record<StageName, readonly Capture<unknown>[]> {
  return {
    text: [text.encode],
    vae: [...(encode?.captures ?? []), ...decode.captures],
    unet: [denoiser.prepared, denoiser.step],
  };
}

function planPhase(phase: PhaseName, captures: readonly Capture<unknown>[], own: readonly Tensor[], limit: number): PhasePlan {
  const weights = new Set(own.map(({ allocation }) => allocation));
  const launches = captures.flatMap((capture) => capture.launches);
  const { peakBytes, largestBytes, splits } = launchMemory(launches, limit, (memory) => weights.has(memory));
  return {
    phase,
    weightBytes: weightBytes(own),
    peakActivationBytes: peakBytes,
    largestTensorBytes: largestBytes,
    dispatches: captures.at(-1)!.launches.length,
    splits,
  };
}

/** Of the stages whose weights come and go with --low-memory. */
function guestBytes({ config, checkpoints }: OpenModel): number[] {
  return stageNames.filter((stage) => stage !== "unet").map((stage) => weightBytes(weightsOf(stage, config, checkpoints)));
}

function allWeights({ checkpoints }: OpenModel): Tensor[] {
  return checkpoints.flatMap(({ tensors }) => tensors.map(({ tensor }) => tensor));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** On the device, with what its buffers are rounded up by. */
function weightBytes(weights: readonly Tensor[]): number {
  return sum(weights.map(({ allocation }) => allocation.buffer.bytes));
}

function tooLittleMemory(needed: number, memory: number, storage: "f32" | "f16"): MemoryPlan["problem"] {
  return {
    message: `the ${stageWords.text}, ${stageWords.unet} and ${stageWords.vae} take ${needed} bytes, ${memory} are there`,
    hint: storage === "f32" ? "use --precision f16, --low-memory or a smaller size" : "use --low-memory or a smaller size",
  };
}
