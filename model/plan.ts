/**
 * @file What a picture will take before anything of it is loaded: weights and activations by phase, what has to be cut into bands,
 * whether it fits. Nothing is estimated: the work is recorded as `generate` records it, on a GPU that keeps no memory.
 */
import { LimnError, type Tier } from "../engine/index.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { type Capabilities, dryDevice } from "./dry-gpu.ts";
import { type GenerateOptions, settingsOf } from "./generation.ts";
import { type LoadOptions, type OpenModel, openModel } from "./load.ts";
import { launchMemory, type SplitTensor } from "./plan-launches.ts";
import { NoiseSchedule } from "./sampling/index.ts";
import { type StageName, Stages, stageNames, stageWords } from "./stages.ts";

export interface PlanOptions extends Pick<LoadOptions, "vae" | "maxHeader"> {
  readonly tier?: Tier;
  readonly precision?: "auto" | "f32" | "f16";
  readonly size?: Pick<GenerateOptions, "width" | "height" | "guidance" | "vaeTile">;
  /** Bytes that weights and activations may take; WebGPU does not tell how many there are. */
  readonly memory?: number | undefined;
}

export interface PhasePlan {
  readonly phase: StageName;
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

/** @throws ModelFileError those of `openModel`, UsageError for a size that no picture has */
export async function planModel(
  source: Parameters<typeof openModel>[0],
  like: Capabilities,
  options: PlanOptions = {},
): Promise<MemoryPlan> {
  const { tier, precision, memory, vae, maxHeader } = options;
  const device = await dryDevice(like, { ...(tier && { tier }), ...(precision && { precision }) });
  const model = await openModel(source, { device, vae, maxHeader });
  const { config } = model;
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
    const stages = new Stages(
      { device, config, schedule: new NoiseSchedule(config.schedule) },
      model.makeModules(),
      { width, height, guidedParts: guidance === 1 ? 0 : 1, contextRows: 77, clipSkip: 1, vaeTile: options.size?.vaeTile },
      { text: storage, unet: storage, vae: storage },
    );
    const { activationBytes } = device;
    const weights = weightsByPhase(model);
    const phases = stageNames.map((phase) => planPhase(phase, stages, weights, known.maxBindingBytes));
    // Guidance and masks leave as many latents outside the slots, at most.
    const totalBytes = device.memory.totalBytes + stages.latents.whole.bytes;
    const tooMuch = memory !== undefined && totalBytes > memory;
    return {
      ...known,
      phases,
      weightBytes: phases.reduce((sum, { weightBytes }) => sum + weightBytes, 0),
      activationBytes,
      totalBytes,
      fits: !tooMuch,
      problem: tooMuch ? tooLittleMemory(totalBytes, memory, storage) : undefined,
    };
  } catch (error) {
    if (!(error instanceof LimnError) || !["BINDING_TOO_LARGE", "GPU_BUFFER_TOO_LARGE", "SHAPE"].includes(error.code))
      throw error;
    const weightBytes = [...weightsByPhase(model).values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const problem = { message: error.message, hint: error.hint };
    return { ...known, phases: [], weightBytes, activationBytes: 0, totalBytes: weightBytes, fits: false, problem };
  }
}

interface PhaseWeights {
  readonly allocations: ReadonlySet<unknown>;
  /** On the device, with what its buffers are rounded up by. */
  readonly bytes: number;
}

function weightsByPhase({ config, checkpoints }: OpenModel): Map<StageName, PhaseWeights> {
  const tensors = checkpoints.flatMap((checkpoint) => checkpoint.tensors);
  const phaseOf = (name: string): StageName => {
    if (name.startsWith(`${config.unet.prefix}.`)) return "unet";
    return config.text.some(({ prefix }) => name.startsWith(`${prefix}.`)) ? "text" : "vae";
  };
  return new Map(
    stageNames.map((phase) => {
      const own = tensors.filter(({ names }) => phaseOf(names[0] ?? "") === phase).map(({ tensor }) => tensor.allocation);
      return [phase, { allocations: new Set(own), bytes: own.reduce((sum, { buffer }) => sum + buffer.bytes, 0) }];
    }),
  );
}

function planPhase(
  phase: StageName,
  { text, denoiser, decode }: Stages,
  weights: ReadonlyMap<StageName, PhaseWeights>,
  limit: number,
): PhasePlan {
  const captures = { text: [text.encode], unet: [denoiser.prepared, denoiser.step], vae: decode.captures }[phase];
  const own = weights.get(phase)!;
  const launches = captures.flatMap((capture) => capture.launches);
  const { peakBytes, largestBytes, splits } = launchMemory(launches, limit, (memory) => own.allocations.has(memory));
  return {
    phase,
    weightBytes: own.bytes,
    peakActivationBytes: peakBytes,
    largestTensorBytes: largestBytes,
    dispatches: captures.at(-1)!.launches.length,
    splits,
  };
}

function tooLittleMemory(needed: number, memory: number, storage: "f32" | "f16"): MemoryPlan["problem"] {
  return {
    message: `the ${stageWords.text}, ${stageWords.unet} and ${stageWords.vae} take ${needed} bytes, ${memory} are there`,
    hint: storage === "f32" ? "use --precision f16, or a smaller size" : "use a smaller size",
  };
}
