/**
 * @file From prompt to picture:  prompt -> ids -> context -> noise -> latent -> image.
 * Read `generate` from top to bottom; each line is a stage, and each stage has its file.
 */
import { type Device, NonFiniteError, OutOfMemoryError, ShaderError, type Tensor, UsageError } from "../engine/index.ts";
import { ClipTokenizer } from "../tokenizer/index.ts";
import { chunkPrompt } from "../tokenizer/prompt/index.ts";
import { type HypernetworkUse, requestedHypernetworks } from "./addons/hypernetwork-requests.ts";
import { HypernetworkSet } from "./addons/hypernetwork-set.ts";
import { doraRuleOf, idleTags, requestedLoras } from "./addons/lora-requests.ts";
import { LoraSet, type LoraUse } from "./addons/lora-set.ts";
import type { ModelSource } from "./checkpoint/byte-folder.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { runSampler } from "./denoise.ts";
import type { UNetDenoiser } from "./denoiser.ts";
import type { GeneratedImage, GenerateOptions, GenerateStep, Settings } from "./generation.ts";
import { cutLatent, interpolate } from "./hires/index.ts";
import { type Raster, rgbOf, type Size } from "./image/index.ts";
import type { Prepared } from "./inpaint.ts";
import { InpaintDenoiser } from "./inpaint-denoiser.ts";
import { type HiresJob, type Job, newJob, type PlannedPicture, type PlanningModel, planPicture } from "./job.ts";
import { type LoadOptions, type OpenModel, openModel } from "./load.ts";
import { PictureNoise } from "./picture-noise.ts";
import { opaque, toNCHW, toNHWC } from "./planes.ts";
import { fingerprint, type PrecisionMemory } from "./precision-memory.ts";
import { StepPreview } from "./preview/index.ts";
import { isRefined, RefinedDenoiser } from "./refiner.ts";
import { LoggedDenoiser } from "./run-log.ts";
import { NoiseSchedule } from "./sampling/index.ts";
import { vectorsOf } from "./size-vector.ts";
import { arranged, type Modules, type StageStorage, Stages, stageNames, stageWords } from "./stages.ts";
import { filledLatent, firstLatent, needsEncoder, startFrom } from "./start.ts";
import { Conditioning, type Told } from "./text/conditioning.ts";
import { EncodedChunks } from "./text/encoded-chunks.ts";
import { embeddingsIn, promptRulesOf } from "./text/prompt-rules.ts";
import { enlarge } from "./upscale/index.ts";
import type { VaeEncoder } from "./vae/encoder.ts";
import { usualTile } from "./vae/tiles.ts";

export class StableDiffusion {
  readonly device: Device;
  readonly config: ModelConfig;
  /** The files behind it and what they hold. */
  readonly model: OpenModel;
  readonly schedule: NoiseSchedule;
  readonly tokenizer = new ClipTokenizer();
  #modules: Modules;
  #encoder: VaeEncoder | undefined;
  #stages: Stages | undefined;
  #storage: StageStorage;
  #busy = false;
  /** A LoRA has been merged since the weights were loaded. */
  #hasMerged = false;
  #precisions: PrecisionMemory | undefined;
  /** What `#precisions` knows. */
  #recalled: StageStorage;
  /** Set once memory ran out: see `#mend`. */
  #vaeTile: number | undefined;
  readonly #encoded = new EncodedChunks();
  readonly #loras: LoraSet;
  readonly #hypernetworks: HypernetworkSet;

  private constructor(device: Device, model: OpenModel) {
    this.device = device;
    this.model = model;
    this.config = model.config;
    this.schedule = new NoiseSchedule(model.config.schedule);
    this.#modules = model.makeModules();
    this.#loras = new LoraSet({ config: model.config, checkpoint: model.checkpoints[0]! });
    this.#hypernetworks = new HypernetworkSet(device);
    this.#storage = { text: device.storage, unet: device.storage, vae: device.storage };
    this.#recalled = this.#storage;
  }

  /**
   * Reads a checkpoint: a file in the original layout, a shard index, or a folder (diffusers'). The pipelines of one picture
   * (`options.picture`, else one of the checkpoint's own size) compile while the weights stream in.
   * @throws ModelFileError and its codes, FileSystemError, OutOfMemoryError, DeviceError
   */
  static async load(source: ModelSource, options: LoadOptions): Promise<StableDiffusion> {
    try {
      return await StableDiffusion.#loadOnce(source, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const cause = await options.device.causeOf(error);
      // Another of the kernels may be refused in the next attempt, so there is one for each.
      if (cause instanceof ShaderError && (await options.device.refuse(cause))) return StableDiffusion.load(source, options);
      if (!ranOutOfMemory(cause) || !(await options.device.recoverMemory())) throw cause;
      return StableDiffusion.#loadOnce(source, options);
    }
  }

  static async #loadOnce(source: ModelSource, options: LoadOptions): Promise<StableDiffusion> {
    const model = await openModel(source, options);
    let diffusion: StableDiffusion | undefined;
    try {
      diffusion = new StableDiffusion(options.device, model);
      await diffusion.#recall(options.precisions);
      const planned = planPicture(diffusion.#planning, options.picture?.prompt ?? "", options.picture ?? {});
      const stages = diffusion.#stagesFor(planned);
      const loading = model.load(options);
      loading.catch(() => {}); // reported when it is awaited
      await stages.compiled().catch(async (error) => {
        await loading.catch(() => {}); // it must not go on writing into memory that is given back
        throw error;
      });
      if (await loading) {
        // A weight is too large for f16 and has become an f32 tensor: what was recorded with the old one is recorded again.
        diffusion.#modules = model.makeModules();
        diffusion.#dropStages();
      }
      options.device.trim(); // of what loading needed beside the weights, before activations are added to them
      await diffusion.#stagesFor(planned).ready();
      options.device.check();
      return diffusion;
    } catch (error) {
      diffusion?.free();
      model.free();
      throw error;
    }
  }

  /**
   * Makes a picture. Yields after every step, returns the image; leaving the loop early stops it and frees its memory.
   * A stage whose f16 numbers overflow is run again in f32, and stays so for this model; one that finds no memory is run again
   * once after giving back what is free, with the VAE in tiles; where the driver refuses a kernel, another rung of it is taken.
   * @throws UsageError, NonFiniteError, DeviceError, OutOfMemoryError, and the signal's reason when it is aborted
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<GenerateStep, GeneratedImage> {
    const job = newJob(this.#planning, prompt, options);
    this.#claim();
    try {
      return yield* this.#run(job);
    } catch (error) {
      // What the GPU reported first is the cause of whatever failed after it.
      throw options.signal?.aborted ? error : await this.device.causeOf(error);
    } finally {
      this.#busy = false;
      this.#endRun();
      if (options.refiner) options.refiner.model.#endRun();
    }
  }

  /** One picture at a time: all of them write into the same inputs. It is refused and not queued, as a generator may be left for ever. */
  #claim(): void {
    if (this.#busy) {
      throw new UsageError("MODEL_BUSY", "generate: this model is making a picture already", {
        hint: "wait for its end, or call return() on its generator to stop it; two at once need two models",
      });
    }
    this.#busy = true;
  }

  async *#run(job: Job): AsyncGenerator<GenerateStep, GeneratedImage> {
    const { settings, options, warnings } = job;
    const clock = stopwatch();
    options.signal?.throwIfAborted();
    const loras = await this.#mending(job, () => this.#mergeLoras(job));
    const hypernetworks = await this.#mending(job, () => this.#changeContexts(job));
    await this.#mending(job, () => this.#condition(job));
    const text = clock();
    const first = yield* this.#denoise(job);
    const latent = job.hires ? yield* this.#again(job, job.hires, first) : first;
    const last = job.hires?.job ?? job;
    try {
      const denoise = clock();
      const pixels = await this.#mending(last, () => this.#decode(last, latent));
      const picture = finished(pixels, last.settings, job.prepared);
      const values = await this.#mending(last, () => latent.read());
      const planes = toNCHW(values, ...this.#latentSize(last.settings));
      options.signal?.throwIfAborted();
      await this.#remember();
      warnings.push(...(job.prepared?.warnings ?? []), ...this.device.refusals);
      return {
        ...picture,
        seed: settings.seed,
        latent: planes,
        settings,
        hires: job.hires?.job.settings,
        loras,
        hypernetworks,
        embeddings: embeddingsIn(job.prompts),
        warnings,
        seconds: { text, denoise, decode: clock() },
      };
    } finally {
      latent.free();
    }
  }

  /** The weights with the LoRAs of this picture and no others; nothing to do where the last picture had the same. */
  async #mergeLoras({ options, prompts, warnings }: Job): Promise<readonly LoraUse[]> {
    const uses = await requestedLoras(options, prompts);
    const merge = () => this.#loras.apply(uses, { dora: doraRuleOf(options.compat), signal: options.signal });
    const { residency } = this.model;
    // Weights that hold a LoRA, or are to hold one, must be there.
    this.#hasMerged ||= uses.length > 0;
    const merged = await (residency && this.#hasMerged ? residency.change("text", merge) : merge());
    warnings.push(...merged.warnings, ...idleTags(prompts));
    if (merged.changed) this.#encoded.clear();
    return uses;
  }

  /** The U-Net with the hypernetworks of this picture and no others. */
  async #changeContexts({ options, prompts }: Job): Promise<readonly HypernetworkUse[]> {
    const uses = await requestedHypernetworks(options, prompts);
    await this.#hypernetworks.apply(uses, this.#modules.unet, async () => {
      await this.device.idle();
      this.#dropStages();
    });
    return uses;
  }

  /** Everything but the latent and the timestep that the U-Net looks at, left in its inputs. */
  async #condition(job: Job): Promise<void> {
    const { settings, options, prepared, prompts, plan } = job;
    const stages = this.#stagesFor(job);
    const { denoiser } = stages;
    stages.resetFiniteCheck();
    job.conditioning ??= await this.#encode(job, stages);
    const { conditioning } = job;
    // The GPU rests: it has answered, and is told nothing yet.
    denoiser.step.expectRuns(plan.yields * (plan.choice.sampler.secondOrder ? 2 : 1));
    this.#tellPrompts(stages, conditioning, options.sizes, settings);
    denoiser.weights = conditioning.weights;
    denoiser.guidance = settings.guidance * plan.guidanceFactor;
    denoiser.guidanceRescale = settings.guidanceRescale;
    denoiser.wholeTimesteps = plan.wholeTimesteps;
    denoiser.schedule = job.schedule;
    denoiser.previews = options.previews === true;
    await denoiser.embedGuidance(settings.guidance);
    job.warnings.push(
      ...[prompts.prompt.cut].filter((n) => n > 0).map((n) => `the prompt is ${n} tokens too long: its first 75 are used`),
    );
    if (!needsEncoder(this.config, options.init)) return;
    options.signal?.throwIfAborted();
    const encode = stages.encode(await this.#loadedEncoder(job));
    const start = await startFrom({ init: options.init, prepared, size: settings }, this.config, encode, denoiser);
    job.start = start ?? job.start;
    await stages.expectFinite("vae"); //                                                          [1, H/8, W/8, 4]
  }

  async #loadedEncoder({ options: { signal } }: Job): Promise<VaeEncoder> {
    this.#encoder ??= await this.model.loadEncoder(signal ? { signal } : {});
    return this.#encoder;
  }

  /** prompts -> chunks -> encodings. */
  async #encode({ prompts, settings, options, size }: Job, stages: Stages): Promise<Conditioning> {
    const { embeddings, compat } = options;
    const encode = async (chunks: Parameters<EncodedChunks["encode"]>[1]) => {
      const encoded = await this.#encoded.encode(stages.text, chunks, settings.clipSkip, embeddings); // [n] of [77, C]
      await stages.expectFinite("text");
      return encoded;
    };
    return Conditioning.encode(prompts, encode, {
      guided: size.guidedParts > 0,
      zeroEmptyNegative: this.config.family.startsWith("sdxl") && promptRulesOf(compat).zeroEmptyNegative,
      emptyChunk: chunkPrompt(this.tokenizer, "")[0]!,
    });
  }

  /** encodings -> the U-Net's context, now and whenever prompt editing asks for another one. */
  #tellPrompts({ denoiser }: Stages, conditioning: Conditioning, sizes: GenerateOptions["sizes"], settings: Settings): void {
    const tell = ({ negative, parts }: Told) => {
      const told = arranged(this.config, negative, parts); //                                      [copies] of [S, D]
      const vectors = denoiser.vector && vectorsOf(told, sizes, settings, this.config); // [copies, adm]
      denoiser.tell(
        told.map(({ context }) => context),
        vectors,
      );
    };
    let last = conditioning.at(0);
    tell(last);
    denoiser.beforeCall = conditioning.changes
      ? (call) => {
          const next = conditioning.at(call);
          if (next.key !== last.key) tell(next);
          last = next;
        }
      : undefined;
  }

  /** noise -> latent. The latent is the caller's. */
  async *#denoise(job: Job): AsyncGenerator<GenerateStep, Tensor> {
    const { settings, options, plan } = job;
    for (;;) {
      const stages = this.#stagesFor(job);
      const [height, width] = this.#latentSize(settings);
      const noise = new PictureNoise({ ...options, seed: job.firstSeed }, plan, { height, width });
      const upload = (values: Float32Array) => stages.newLatent(values);
      const drawn = noise.next(); //                                                               [1, H/8, W/8, 4]
      const unit = options.noise ? toNHWC(options.noise, height, width) : drawn;
      const { start } = job;
      const latent = start && filledLatent(start, unit);
      const x = upload(firstLatent(plan, unit, latent));
      const refined = this.#refined(job, stages);
      const { log } = options;
      const pass = job.steps.before;
      const onFirst = (calls: number) => stages.denoiser.continueFrom(calls);
      const asked = refined ?? stages.denoiser;
      const logged = log && new LoggedDenoiser(asked, { log, pass, upload, onFirst });
      const denoiser = logged ?? asked;
      let masked: InpaintDenoiser | undefined;
      let finished = false;
      try {
        if (latent && start?.mask) masked = new InpaintDenoiser(denoiser, { latent: upload(latent), mask: upload(start.mask) });
        const sampling = plan.run({
          denoiser: masked ?? denoiser,
          x,
          noise: (from, to) => upload(noise.between(from, to)),
        });
        const checked = { nonFinite: stages.nonFinite, expectFinite: this.#checks(job, stages, refined) };
        const made = yield* runSampler(sampling, checked, job, () => this.#preview(stages, refined?.current));
        finished = true;
        return masked ? masked.finish(made) : made;
      } catch (error) {
        x.free(); // before free memory is given back
        masked?.free();
        logged?.free();
        if (refined?.refining) await job.refiner!.model.#mend(job.refiner!.job, error);
        else await this.#mend(job, error);
        log?.forget(pass); // it is made in another way now
        await this.#condition(job);
      } finally {
        masked?.free();
        logged?.free();
        // A sampler that was stopped before its first step never ran, and so has freed nothing.
        if (!finished) x.free();
      }
    }
  }

  /** The U-Net's denoiser as long as the noise is high, then the refiner's; undefined without one. */
  #refined({ refiner, schedule, options }: Job, stages: Stages): RefinedDenoiser | undefined {
    if (!refiner) return undefined;
    const { model, at, job } = refiner;
    return new RefinedDenoiser(stages.denoiser, schedule, {
      isRefined: (timestep) => isRefined(timestep, at, options.compat),
      async takeOver(calls) {
        await stages.expectFinite("unet"); // from here on what is found is the refiner's
        await model.#mending(job, () => model.#condition(job));
        const { denoiser } = model.#stagesFor(job);
        denoiser.continueFrom(calls);
        return denoiser;
      },
    });
  }

  /** The finite check of the model that answers. */
  #checks({ refiner }: Job, own: Stages, refined: RefinedDenoiser | undefined): Stages["expectFinite"] {
    return (stage, step) => {
      const stages = refiner && refined?.refining ? refiner.model.#stagesFor(refiner.job) : own;
      return stages.expectFinite(stage, step);
    };
  }

  /** latent -> larger latent -> the same with noise -> latent: the hires pass. It takes the first latent. */
  async *#again(first: Job, hires: HiresJob, latent: Tensor): AsyncGenerator<GenerateStep, Tensor> {
    const { job } = hires;
    try {
      const larger = await this.#mending(first, () => this.#enlarged(first, hires, latent)); //     [1, H'/8, W'/8, 4]
      job.start = { latent: larger, mask: undefined, fill: "original" };
    } finally {
      latent.free();
    }
    await this.#mending(job, () => this.#mergeLoras(job));
    await this.#mending(job, () => this.#changeContexts(job));
    await this.#mending(job, () => this.#condition(job));
    return yield* this.#denoise(job);
  }

  /** Enlarged as a latent, or decoded, enlarged as a picture and encoded; then cut to the second pass's size. */
  async #enlarged(first: Job, { job, target, upscaler }: HiresJob, latent: Tensor): Promise<Float32Array> {
    const { width, height } = first.settings;
    if (upscaler.kind === "latent") {
      const cells = (size: Size) => ({
        width: size.width / this.config.vae.factor,
        height: size.height / this.config.vae.factor,
      });
      const larger = interpolate(await latent.read(), cells({ width, height }), cells(target.enlarged), upscaler.upscaler.how);
      return cutLatent(larger, target);
    }
    const data = await this.#decode(first, latent);
    const picture = await enlarge({ width, height, channels: 4, data }, target.enlarged, upscaler.upscaler);
    return cutLatent(await this.#encodePicture(job, picture), target);
  }

  /** RGB -> latent in the U-Net's scale [1, H/8, W/8, 4]. */
  async #encodePicture(job: Job, picture: Raster): Promise<Float32Array> {
    const encoder = await this.#loadedEncoder(job);
    const stages = this.#stagesFor(job);
    const stage = stages.newEncode(encoder, picture);
    try {
      const mean = await stage.run(picture);
      await stages.expectFinite("vae");
      return mean.map((value) => value * this.config.vae.scaleFactor);
    } finally {
      stage.free();
    }
  }

  /** latent -> image, RGBA bytes. */
  async #decode(job: Job, latent: Tensor): Promise<Uint8Array> {
    job.options.signal?.throwIfAborted();
    const stages = this.#stagesFor(job);
    const pixels = await stages.decode.run(latent); //                                             [H, W, 4]
    await stages.expectFinite("vae");
    return pixels;
  }

  /** Runs a stage, and once more if what ended it could be mended. */
  async #mending<T>(job: Job, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      await this.#mend(job, error);
      return run();
    }
  }

  /**
   * Makes a second try worthwhile: gives the stage that overflowed in f16 f32 storage, or gives free memory back where none was
   * left, or passes over a kernel that the driver refuses. Throws the error again where nothing can help.
   */
  async #mend(job: Job, failure: unknown): Promise<void> {
    const error = await this.device.causeOf(failure);
    if (ranOutOfMemory(error) && !job.memoryRecovered) {
      job.memoryRecovered = true;
      this.#dropStages();
      this.#vaeTile = smallerTile(job.settings);
      if (await this.device.recoverMemory()) return;
    }
    if (error instanceof ShaderError) {
      this.#dropStages();
      if (await this.device.refuse(error)) return;
    }
    const stage = error instanceof NonFiniteError ? stageNames.find((name) => name === error.context["stage"]) : undefined;
    if (!stage || this.#storage[stage] === "f32") throw error;
    job.warnings.push(`the ${stageWords[stage]} overflowed in f16: run again in f32`);
    this.#storage = { ...this.#storage, [stage]: "f32" };
    if (stage === "text") {
      this.#encoded.clear();
      job.conditioning = undefined;
    }
    await this.device.idle();
    this.#dropStages();
  }

  #preview(stages: Stages, { denoised }: UNetDenoiser = stages.denoiser): StepPreview | undefined {
    return denoised && new StepPreview(stages, this.config.vae, denoised);
  }

  async #recall(precisions: PrecisionMemory | undefined): Promise<void> {
    if (this.device.storage === "f32" || !precisions) return;
    this.#precisions = precisions;
    const known = await precisions.recall(await fingerprint(this.model.checkpoints[0]!.file));
    for (const stage of stageNames) if (known.includes(stage)) this.#storage = { ...this.#storage, [stage]: "f32" };
    this.#recalled = this.#storage;
  }

  /** What overflowed in a picture that came out well; a LoRA may have been the cause, and is not the checkpoint's. */
  async #remember(): Promise<void> {
    if (this.#storage === this.#recalled || this.#hasMerged) return;
    this.#recalled = this.#storage;
    const stages = stageNames.filter((stage) => this.#storage[stage] !== this.device.storage);
    await this.#precisions?.remember(await fingerprint(this.model.checkpoints[0]!.file), stages);
  }

  #latentSize({ width, height }: Pick<Settings, "width" | "height">): [height: number, width: number] {
    const { factor } = this.config.vae;
    return [height / factor, width / factor];
  }

  /** The planned memory: weights, and the activations of the current picture size. */
  get plannedBytes(): number {
    return this.model.residentBytes + this.device.activationBytes;
  }

  /** Where text encoder and VAE are while they have nothing to do; undefined: on the GPU. */
  get residency(): OpenModel["residency"] {
    return this.model.residency;
  }

  /** Dispatches of one denoising step, as recorded. */
  get dispatchesPerStep(): number {
    return this.#stages?.denoiser.step.launches.length ?? 0;
  }

  /** Gives all memory back. */
  free(): void {
    this.#dropStages();
    this.#hypernetworks.free();
    this.model.free();
  }

  #endRun(): void {
    this.#stages?.denoiser.endRun();
  }

  get #planning(): PlanningModel {
    return { config: this.config, schedule: this.schedule, tokenizer: this.tokenizer };
  }

  #stagesFor({ size }: Pick<PlannedPicture, "size">): Stages {
    const wanted = { ...size, vaeTile: size.vaeTile ?? this.#vaeTile ?? (this.residency && usualTile) };
    if (this.#stages && !this.#stages.fits(wanted)) this.#dropStages();
    this.#stages ??= this.device.allOrNothing(() => new Stages(this, this.#modules, wanted, this.#storage));
    return this.#stages;
  }

  #dropStages(): void {
    this.#stages?.free();
    this.#stages = undefined;
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

/** RGBA from the VAE -> the picture that is kept: where only a part was painted, the rest is the old one's. */
function finished(pixels: Uint8Array, { width, height }: Settings, prepared: Prepared | undefined) {
  if (!prepared?.mask) return { width, height, pixels };
  const picture = prepared.finish(rgbOf({ width, height, channels: 4, data: pixels }));
  return { width: picture.width, height: picture.height, pixels: opaque(picture) };
}

/** Seconds since the last call. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = (now - last) / 1000;
    last = now;
    return seconds;
  };
}
