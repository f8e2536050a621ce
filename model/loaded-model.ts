/** @file A model on a device: its modules, what is recorded of them, and how a stage that failed is made fit for a second try. */
import { type Device, NonFiniteError, OutOfMemoryError, ShaderError, storageFor } from "../engine/index.ts";
import { ClipTokenizer } from "../tokenizer/index.ts";
import { type HypernetworkUse, requestedHypernetworks } from "./addons/hypernetwork-requests.ts";
import { HypernetworkSet } from "./addons/hypernetwork-set.ts";
import { doraRuleOf, idleTags, requestedLoras } from "./addons/lora-requests.ts";
import { LoraSet, type LoraUse } from "./addons/lora-set.ts";
import type { ModelSource } from "./checkpoint/byte-folder.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { type LoadOptions, type OpenModel, openModel } from "./load.ts";
import { expectLoadOptions } from "./load-option-kinds.ts";
import type { Settings } from "./picture/generation.ts";
import { type Job, type PlannedPicture, planPicture } from "./picture/job.ts";
import { fingerprint, type PrecisionMemory } from "./precision-memory.ts";
import { NoiseSchedule } from "./sampling/index.ts";
import { type Modules, type StageStorage, Stages, stageNames, stageWords } from "./stages.ts";
import { EncodedChunks } from "./text/encoded-chunks.ts";
import type { VaeEncoder } from "./vae/encoder.ts";
import { usualTile } from "./vae/tiles.ts";

export class LoadedModel {
  readonly device: Device;
  readonly config: ModelConfig;
  /** The files behind it and what they hold. */
  readonly opened: OpenModel;
  readonly schedule: NoiseSchedule;
  readonly tokenizer = new ClipTokenizer();
  readonly encoded = new EncodedChunks();
  modules: Modules;
  #encoder: VaeEncoder | undefined;
  #stages: Stages | undefined;
  #storage: StageStorage;
  /** A LoRA has been merged since the weights were loaded. */
  #hasMerged = false;
  #precisions: PrecisionMemory | undefined;
  /** What `#precisions` knows. */
  #recalled: StageStorage;
  /** Set once memory ran out: see `mend`. */
  #vaeTile: number | undefined;
  /** See `noteTaken`. */
  #takenBytes = 0;
  readonly #loras: LoraSet;
  readonly #hypernetworks: HypernetworkSet;

  private constructor(device: Device, opened: OpenModel) {
    this.device = device;
    this.opened = opened;
    this.config = opened.config;
    this.schedule = new NoiseSchedule(opened.config.schedule);
    this.modules = opened.makeModules();
    this.#loras = new LoraSet({ config: opened.config, checkpoint: opened.checkpoints[0]! });
    this.#hypernetworks = new HypernetworkSet(device);
    this.#storage = { text: device.storage, unet: device.storage, vae: device.storage };
    this.#recalled = this.#storage;
  }

  /** See StableDiffusion.load. What can be mended (memory that runs out, a kernel that the driver refuses) is tried again. */
  static async load(source: ModelSource, options: LoadOptions): Promise<LoadedModel> {
    expectLoadOptions(options);
    try {
      return await LoadedModel.#loadOnce(source, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const cause = await options.device.causeOf(error);
      // Another of the kernels may be refused in the next attempt, so there is one for each.
      if (cause instanceof ShaderError && (await options.device.refuse(cause))) return LoadedModel.load(source, options);
      if (!ranOutOfMemory(cause) || !(await options.device.recoverMemory())) throw cause;
      return LoadedModel.#loadOnce(source, options);
    }
  }

  static async #loadOnce(source: ModelSource, options: LoadOptions): Promise<LoadedModel> {
    const opened = await openModel(source, options);
    let loaded: LoadedModel | undefined;
    const stop = () => options.device.warmUp?.stop();
    options.signal?.addEventListener("abort", stop);
    try {
      loaded = new LoadedModel(options.device, opened);
      await loaded.#recall(options.precisions);
      if (options.vaePrecision) loaded.#storeVae(options.vaePrecision);
      const planned = planPicture(loaded, options.picture?.prompt ?? "", options.picture ?? {});
      const stages = loaded.stagesFor(planned);
      const loading = opened.load(options);
      loading.catch(() => {}); // reported when it is awaited
      await stages.compiled().catch(async (error) => {
        await loading.catch(() => {}); // it must not go on writing into memory that is given back
        throw error;
      });
      if (await loading) {
        // A weight is too large for f16 and has become an f32 tensor: what was recorded with the old one is recorded again.
        loaded.modules = opened.makeModules();
        loaded.dropStages();
      }
      loaded.noteTaken();
      options.device.trim(); // of what loading needed beside the weights, before activations are added to them
      await loaded.stagesFor(planned).ready();
      options.device.check();
      return loaded;
    } catch (error) {
      stop();
      await options.device.warmUp?.done();
      loaded?.free();
      opened.free();
      throw error;
    } finally {
      options.signal?.removeEventListener("abort", stop);
      opened.patience.until(undefined);
    }
  }

  /** Side of the VAE's tiles for a picture that asks for none: with little memory the usual one. */
  get tileUnlessGiven(): number | undefined {
    return this.residency && usualTile;
  }

  /** What is recorded for a picture of this size; that of another size is given up. */
  stagesFor({ size }: Pick<PlannedPicture, "size">): Stages {
    const wanted = { ...size, vaeTile: size.vaeTile ?? this.#vaeTile ?? this.tileUnlessGiven };
    if (this.#stages && !this.#stages.fits(wanted)) {
      this.dropStages();
      this.device.trim(); // inputs of another size would lie beside the new ones
    }
    this.#stages ??= this.device.allOrNothing(() => new Stages(this, this.modules, wanted, this.#storage));
    return this.#stages;
  }

  dropStages(): void {
    this.#stages?.free();
    this.#stages = undefined;
  }

  /** Where text encoder and VAE are while they have nothing to do; undefined: on the GPU. */
  get residency(): OpenModel["residency"] {
    return this.opened.residency;
  }

  /** What this model holds by itself: weights, inputs and latents. Activations are the device's. */
  get heldBytes(): number {
    return this.opened.residentBytes + (this.#stages?.inputBytes ?? 0);
  }

  /** See StableDiffusion. */
  get plannedBytes(): number {
    return Math.max(this.#takenBytes, this.heldBytes + this.device.activationBytes);
  }

  /** Keeps in mind what is on the device now: for work that nobody could plan, before its memory is given back. */
  noteTaken(bytes: number = this.device.memory.totalBytes): void {
    this.#takenBytes = Math.max(this.#takenBytes, bytes);
  }

  /** Dispatches of one denoising step, as recorded. */
  get dispatchesPerStep(): number {
    return this.#stages?.denoiser.step.launches.length ?? 0;
  }

  /** The weights with the LoRAs of this picture and no others; nothing to do where the last picture had the same. */
  async mergeLoras({ options, prompts, warnings }: Job): Promise<readonly LoraUse[]> {
    const uses = await requestedLoras(options, prompts);
    const merge = async () => {
      const applied = await this.#remaking(() =>
        this.#loras.apply(uses, { dora: doraRuleOf(options.compat), signal: options.signal }),
      );
      this.noteTaken();
      if (applied.changed) this.device.trim();
      return applied;
    };
    const { residency } = this;
    // Weights that hold a LoRA, or are to hold one, must be there.
    this.#hasMerged ||= uses.length > 0;
    const merged = await (residency && this.#hasMerged ? residency.change("text", merge) : merge());
    warnings.push(...merged.warnings, ...idleTags(prompts));
    if (merged.changed) this.encoded.clear();
    return uses;
  }

  /** Runs `work`; if it puts other tensors in the place of weights, modules are made and recorded again, also if it fails after that. */
  async #remaking<T>(work: () => Promise<T>): Promise<T> {
    const before = this.opened.replaced;
    try {
      return await work();
    } finally {
      if (this.opened.replaced !== before) {
        this.noteTaken();
        this.dropStages();
        const { contextChanges } = this.modules.unet;
        this.modules = this.opened.makeModules();
        this.modules.unet.contextChanges = contextChanges;
      }
    }
  }

  /** The U-Net with the hypernetworks of this picture and no others. */
  async changeContexts({ options, prompts }: Job): Promise<readonly HypernetworkUse[]> {
    const uses = await requestedHypernetworks(options, prompts);
    await this.#hypernetworks.apply(uses, this.modules.unet, async () => {
      await this.device.idle();
      this.dropStages();
    });
    return uses;
  }

  /** The VAE's encoder, which only pictures from pictures need. */
  async loadedEncoder({ options: { signal } }: Job): Promise<VaeEncoder> {
    this.#encoder ??= await this.opened.loadEncoder(signal ? { signal } : {});
    return this.#encoder;
  }

  /** Runs a stage, and once more if what ended it could be mended. */
  async mending<T>(job: Job, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      await this.mend(job, error);
      return run();
    }
  }

  /**
   * Makes a second try worthwhile: gives the stage that overflowed in f16 f32 storage, or gives free memory back where none was
   * left, or passes over a kernel that the driver refuses. Throws the error again where nothing can help.
   */
  async mend(job: Job, failure: unknown): Promise<void> {
    const error = await this.device.causeOf(failure);
    if (ranOutOfMemory(error) && !job.memoryRecovered) {
      job.memoryRecovered = true;
      this.dropStages();
      this.#vaeTile = smallerTile(job.settings);
      if (await this.device.recoverMemory()) return;
    }
    if (error instanceof ShaderError) {
      this.dropStages();
      if (await this.device.refuse(error)) return;
    }
    const stage = error instanceof NonFiniteError ? stageNames.find((name) => name === error.context["stage"]) : undefined;
    if (!stage || this.#storage[stage] === "f32") throw error;
    job.warnings.push(`the ${stageWords[stage]} overflowed in f16: run again in f32`);
    this.#storage = { ...this.#storage, [stage]: "f32" };
    if (stage === "text") {
      this.encoded.clear();
      job.conditioning = undefined;
    }
    await this.device.idle();
    this.dropStages();
  }

  /** Height and width of the latent of a picture. */
  latentSize({ width, height }: Pick<Settings, "width" | "height">): [height: number, width: number] {
    const { factor } = this.config.vae;
    return [height / factor, width / factor];
  }

  /** @throws AdapterError F16_UNSUPPORTED */
  #storeVae(precision: "f32" | "f16"): void {
    storageFor(precision, this.device.tier, this.device.features.has("shader-f16"));
    this.#storage = { ...this.#storage, vae: precision };
    this.#recalled = this.#storage;
  }

  async #recall(precisions: PrecisionMemory | undefined): Promise<void> {
    if (this.device.storage === "f32" || !precisions) return;
    this.#precisions = precisions;
    const known = await precisions.recall(await fingerprint(this.opened.checkpoints[0]!.file));
    for (const stage of stageNames) if (known.includes(stage)) this.#storage = { ...this.#storage, [stage]: "f32" };
    this.#recalled = this.#storage;
  }

  /** What overflowed in a picture that came out well; a LoRA may have been the cause, and is not the checkpoint's. */
  async remember(): Promise<void> {
    if (this.#storage === this.#recalled || this.#hasMerged) return;
    this.#recalled = this.#storage;
    const stages = stageNames.filter((stage) => this.#storage[stage] === "f32");
    await this.#precisions?.remember(await fingerprint(this.opened.checkpoints[0]!.file), stages);
  }

  /** Until `endRun`, this signal also ends a wait for the model's files. */
  beginRun(signal: AbortSignal | undefined): void {
    this.opened.patience.until(signal);
  }

  endRun(): void {
    this.opened.patience.until(undefined);
    this.#stages?.denoiser.endRun();
  }

  /** Gives all memory back. */
  free(): void {
    this.dropStages();
    this.#hypernetworks.free();
    this.opened.free();
  }
}

/** Memory ran out, where less of it might have been taken; a buffer beyond the adapter's limit is another matter. */
function ranOutOfMemory(error: unknown): boolean {
  return error instanceof OutOfMemoryError && error.code === "GPU_OUT_OF_MEMORY";
}

/** Tiles that take much less memory than the whole picture does. */
function smallerTile({ width, height }: Settings): number {
  return Math.max(128, Math.min(usualTile, Math.floor(Math.max(width, height) / 128) * 64));
}
