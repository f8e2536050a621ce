/**
 * @file From prompt to picture:  prompt -> ids -> context -> noise -> latent -> image.
 * Read `generate` from top to bottom; each line is a stage, and each stage has its file.
 */
import { type Device, NonFiniteError, OutOfMemoryError, type Tensor } from "../engine/index.ts";
import { ClipTokenizer } from "../tokenizer/index.ts";
import type { ModelSource } from "./checkpoint/byte-folder.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { type GeneratedImage, type GenerateOptions, type GenerateStep, type Settings, settingsOf } from "./generation.ts";
import { rgbOf } from "./image/index.ts";
import { prepareInit } from "./img2img.ts";
import type { Prepared } from "./inpaint.ts";
import { InpaintDenoiser } from "./inpaint-denoiser.ts";
import { type LoadOptions, type OpenModel, openModel } from "./load.ts";
import { opaque, toNCHW, toNHWC } from "./planes.ts";
import { LatentNoise, NoiseSchedule, planSampling, type Sampling, type SamplingPlan } from "./sampling/index.ts";
import { sizeVector } from "./size-vector.ts";
import { type Modules, promptCopies, type StageStorage, Stages, stageNames, stageWords } from "./stages.ts";
import { expectInit, filledLatent, firstLatent, needsEncoder, type Start, startFrom } from "./start.ts";
import type { VaeEncoder } from "./vae/encoder.ts";

/** Steps that the host may be ahead of the GPU: progress stays true and stopping is quick. */
const stepsAhead = 2;

/** Of every sampler but those with CFG++. */
const plainGuidance = { guidanceFactor: 1, needsNegative: false };

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

  private constructor(device: Device, model: OpenModel) {
    this.device = device;
    this.model = model;
    this.config = model.config;
    this.schedule = new NoiseSchedule(model.config.schedule);
    this.#modules = model.makeModules();
    this.#storage = { text: device.storage, unet: device.storage, vae: device.storage };
  }

  /**
   * Reads a checkpoint: a file in the original layout, a shard index, or a folder (diffusers'). The pipelines of one picture size (`options.size`, else the
   * checkpoint's own) compile while the weights stream in.
   * @throws ModelFileError and its codes, FileSystemError, OutOfMemoryError, DeviceError
   */
  static async load(source: ModelSource, options: LoadOptions): Promise<StableDiffusion> {
    try {
      return await StableDiffusion.#loadOnce(source, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const cause = await options.device.causeOf(error);
      if (!ranOutOfMemory(cause) || !(await options.device.recoverMemory())) throw cause;
      return StableDiffusion.#loadOnce(source, options);
    }
  }

  static async #loadOnce(source: ModelSource, options: LoadOptions): Promise<StableDiffusion> {
    const model = await openModel(source, options);
    let diffusion: StableDiffusion | undefined;
    try {
      diffusion = new StableDiffusion(options.device, model);
      const size = settingsOf(model.config, options.size ?? {});
      const stages = diffusion.#stagesFor(size);
      const [changed] = await Promise.all([model.load(options), stages.ready()]);
      if (changed) {
        // A weight is too large for f16 and has become an f32 tensor: what was recorded with the old one is recorded again.
        diffusion.#modules = model.makeModules();
        diffusion.#dropStages();
        await diffusion.#stagesFor(size).ready();
      }
      options.device.trim(); // of what loading needed beside the weights
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
   * once after giving back what is free.
   * @throws UsageError, NonFiniteError, DeviceError, OutOfMemoryError, and the signal's reason when it is aborted
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<GenerateStep, GeneratedImage> {
    const settings = settingsOf(this.config, options);
    const plan = planSampling(this.schedule, settings);
    const warnings: string[] = [];
    if (plan.choice.scheduleIgnored && options.schedule !== undefined) {
      warnings.push(`sampler ${plan.choice.sampler.name} has timesteps of its own: schedule ${options.schedule} is ignored`);
    }
    expectInit(this.config, options.init);
    const prepared = options.init && prepareInit(options.init, settings);
    const job: Job = { prepared, start: undefined, prompt, options, settings, plan, warnings, memoryRecovered: false };
    try {
      return yield* this.#run(job);
    } catch (error) {
      // What the GPU reported first is the cause of whatever failed after it.
      throw options.signal?.aborted ? error : await this.device.causeOf(error);
    } finally {
      this.#stages?.denoiser.endRun();
    }
  }

  async *#run(job: Job): AsyncGenerator<GenerateStep, GeneratedImage> {
    const { settings, options, warnings } = job;
    const clock = stopwatch();
    options.signal?.throwIfAborted();
    await this.#mending(job, () => this.#condition(job));
    const text = clock();
    const latent = yield* this.#denoise(job);
    try {
      const denoise = clock();
      const pixels = await this.#mending(job, () => this.#decode(job, latent));
      const { seed } = settings;
      const picture = finished(pixels, settings, job.prepared);
      const values = await this.#mending(job, () => latent.read());
      const planes = toNCHW(values, ...this.#latentSize(settings));
      options.signal?.throwIfAborted();
      warnings.push(...(job.prepared?.warnings ?? []));
      return { ...picture, seed, latent: planes, settings, warnings, seconds: { text, denoise, decode: clock() } };
    } finally {
      latent.free();
    }
  }

  /** Everything but the latent and the timestep that the U-Net looks at, left in its inputs. */
  async #condition(job: Job): Promise<void> {
    await this.#encode(job);
    const { settings, options, plan, prepared } = job;
    if (!needsEncoder(this.config, options.init)) return;
    options.signal?.throwIfAborted();
    this.#encoder ??= await this.model.loadEncoder(options.signal ? { signal: options.signal } : {});
    const stages = this.#stagesFor(settings, plan);
    job.start = await startFrom(
      { init: options.init, prepared, size: settings },
      this.config,
      stages.encode(this.#encoder),
      stages.denoiser,
    );
    await stages.expectFinite("vae"); //                                                          [1, H/8, W/8, 4]
  }

  /** prompt -> ids -> context, left in the U-Net's inputs. */
  async #encode({ prompt, options, settings, plan, warnings }: Job): Promise<void> {
    const { device } = this;
    const { width, height, guidance } = settings;
    const stages = this.#stagesFor(settings, plan);
    stages.resetFiniteCheck();
    const copies = promptCopies(this.config, stages.size.guided);
    const prompts = [...Array<string>(copies - 1).fill(options.negative ?? ""), prompt];
    const { cut } = await stages.text.run(prompts); //                                             [P, 77, D]
    if (warnings.length === 0)
      warnings.push(...cut.filter((n) => n > 0).map((n) => `the prompt is ${n} tokens too long: its first 75 are used`));
    const { vector } = stages.denoiser;
    if (vector) {
      const sizes = { original: { width, height }, crop: { top: 0, left: 0 }, target: { width, height } };
      device.write(vector, sizeVector(await stages.text.pooled(), sizes, vector.shape[1]!)); //     [P, adm]
    }
    stages.denoiser.prepare();
    stages.denoiser.guidance = guidance * plan.guidanceFactor;
    await stages.denoiser.embedGuidance(guidance);
    stages.denoiser.wholeTimesteps = plan.wholeTimesteps;
    await stages.expectFinite("text");
  }

  /** noise -> latent. The latent is the caller's. */
  async *#denoise(job: Job): AsyncGenerator<GenerateStep, Tensor> {
    const { settings, options, plan } = job;
    for (;;) {
      const stages = this.#stagesFor(settings, plan);
      const [height, width] = this.#latentSize(settings);
      const generator = new LatentNoise({ seed: settings.seed, brownian: plan.brownian }, { height, width });
      const upload = (noise: Float32Array) => this.device.upload(noise, [1, height, width, 4], "f32", "latent");
      const drawn = generator.next(); //                                                           [1, H/8, W/8, 4]
      const unit = options.noise ? toNHWC(options.noise, height, width) : drawn;
      const { start } = job;
      const latent = start && filledLatent(start, unit);
      const x = upload(firstLatent(plan, unit, latent));
      let masked: InpaintDenoiser | undefined;
      let finished = false;
      try {
        if (latent && start?.mask)
          masked = new InpaintDenoiser(stages.denoiser, { latent: upload(latent), mask: upload(start.mask) });
        const sampling = plan.run({
          denoiser: masked ?? stages.denoiser,
          x,
          noise: (from, to) => upload(generator.between(from, to)),
        });
        const made = yield* this.#steps(sampling, stages, plan.yields, options.signal);
        finished = true;
        return masked ? masked.finish(made) : made;
      } catch (error) {
        x.free(); // before free memory is given back
        masked?.free();
        await this.#mend(job, error);
        await this.#condition(job);
      } finally {
        masked?.free();
        // A sampler that was stopped before its first step never ran, and so has freed nothing.
        if (!finished) x.free();
      }
    }
  }

  /** Runs a sampler to its end; the host stays at most `stepsAhead` steps before the GPU. */
  async *#steps(
    sampling: Sampling,
    stages: Stages,
    steps: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerateStep, Tensor> {
    const checks: Promise<void>[] = [];
    let latent: Tensor | undefined;
    try {
      for (;;) {
        signal?.throwIfAborted();
        const next = await sampling.next();
        if (next.done) {
          latent = next.value;
          await Promise.all(checks);
          return latent; //                                                                        [1, H/8, W/8, 4]
        }
        const step = next.value.step + 1;
        const check = stages.expectFinite("unet", step);
        check.catch(() => {}); // reported when it is awaited, up to two steps later
        checks.push(check);
        if (checks.length > stepsAhead) await checks.shift();
        yield { step, steps, sigma: next.value.sigma, latent: next.value.latent };
      }
    } catch (error) {
      latent?.free();
      throw error;
    } finally {
      if (!latent) await sampling.return(undefined as never);
    }
  }

  /** latent -> image, RGBA bytes. */
  async #decode({ settings, options, plan }: Job, latent: Tensor): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    const stages = this.#stagesFor(settings, plan);
    this.device.copy(latent, stages.latent);
    stages.decode.run(); //                                                                        [1, H, W]
    const pixels = await stages.decode.result.readU32();
    await stages.expectFinite("vae");
    return new Uint8Array(pixels.buffer);
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
   * left. Throws the error again where neither can help.
   */
  async #mend(job: Job, error: unknown): Promise<void> {
    if (ranOutOfMemory(error) && !job.memoryRecovered) {
      job.memoryRecovered = true;
      this.#dropStages();
      if (await this.device.recoverMemory()) return;
    }
    const stage = error instanceof NonFiniteError ? stageNames.find((name) => name === error.context["stage"]) : undefined;
    if (!stage || this.#storage[stage] === "f32") throw error;
    job.warnings.push(`the ${stageWords[stage]} overflowed in f16: run again in f32`);
    this.#storage = { ...this.#storage, [stage]: "f32" };
    await this.device.idle();
    this.#dropStages();
  }

  #latentSize({ width, height }: Settings): [height: number, width: number] {
    const { factor } = this.config.vae;
    return [height / factor, width / factor];
  }

  /** The planned memory: weights, and the activations of the current picture size. */
  get plannedBytes(): number {
    return this.model.bytes + this.device.activationBytes;
  }

  /** Dispatches of one denoising step, as recorded. */
  get dispatchesPerStep(): number {
    return this.#stages?.denoiser.step.launches.length ?? 0;
  }

  /** Gives all memory back. */
  free(): void {
    this.#dropStages();
    this.model.free();
  }

  #stagesFor(
    { width, height, guidance }: Pick<Settings, "width" | "height" | "guidance">,
    { guidanceFactor, needsNegative }: Pick<SamplingPlan, "guidanceFactor" | "needsNegative"> = plainGuidance,
  ): Stages {
    const size = { width, height, guided: guidance * guidanceFactor !== 1 || needsNegative };
    if (this.#stages && !this.#stages.fits(size)) this.#dropStages();
    this.#stages ??= this.device.allOrNothing(() => new Stages(this, this.#modules, size, this.#storage));
    return this.#stages;
  }

  #dropStages(): void {
    this.#stages?.free();
    this.#stages = undefined;
  }
}

/** One picture on its way. */
interface Job {
  readonly prompt: string;
  readonly options: GenerateOptions;
  readonly settings: Settings;
  readonly plan: SamplingPlan;
  readonly warnings: string[];
  /** The picture to start from, in the size that is made. */
  readonly prepared: Prepared | undefined;
  /** Its latent, once it is encoded. */
  start: Start | undefined;
  /** Free memory has been given back once for this picture. */
  memoryRecovered: boolean;
}

/** Memory ran out, where less of it might have been taken; a buffer beyond the adapter's limit is another matter. */
function ranOutOfMemory(error: unknown): boolean {
  return error instanceof OutOfMemoryError && error.code === "GPU_OUT_OF_MEMORY";
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
