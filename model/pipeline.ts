/**
 * @file From prompt to picture:  prompt -> ids -> context -> noise -> latent -> image.
 * Read `generate` from top to bottom; each line is a stage, and each stage has its file.
 */
import { type Device, NonFiniteError, type Tensor } from "../engine/index.ts";
import { ClipTokenizer } from "../tokenizer/index.ts";
import type { ByteSource } from "./checkpoint/byte-source.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { type GeneratedImage, type GenerateOptions, type GenerateStep, settingsOf } from "./generation.ts";
import { type LoadOptions, type OpenModel, openModel } from "./load.ts";
import { LatentNoise, NoiseSchedule, planSampling } from "./sampling/index.ts";
import { sizeVector } from "./size-vector.ts";
import { type Modules, type StageSize, Stages } from "./stages.ts";

/** Steps that the host may be ahead of the GPU: progress stays true and stopping is quick. */
const stepsAhead = 2;

export class StableDiffusion {
  readonly device: Device;
  readonly config: ModelConfig;
  /** The files behind it and what they hold. */
  readonly model: OpenModel;
  readonly schedule: NoiseSchedule;
  readonly tokenizer = new ClipTokenizer();
  #modules: Modules;
  #stages: Stages | undefined;

  private constructor(device: Device, model: OpenModel) {
    this.device = device;
    this.model = model;
    this.config = model.config;
    this.schedule = new NoiseSchedule(model.config.schedule);
    this.#modules = model.makeModules();
  }

  /**
   * Reads a checkpoint in the original single-file layout. The pipelines of one picture size (`options.size`, else the
   * checkpoint's own) compile while the weights stream in.
   * @throws ModelFileError and its codes, FileSystemError, OutOfMemoryError, DeviceError
   */
  static async load(source: ByteSource, options: LoadOptions): Promise<StableDiffusion> {
    const model = await openModel(source, options);
    const diffusion = new StableDiffusion(options.device, model);
    try {
      const { width, height, guidance } = settingsOf(model.config, options.size ?? {});
      const size = { width, height, guided: guidance !== 1 };
      const [changed] = await Promise.all([model.load(options), diffusion.#stagesFor(size).ready()]);
      if (changed) {
        // A weight is too large for f16 and has become an f32 tensor: what was recorded with the old one is recorded again.
        diffusion.#modules = model.makeModules();
        diffusion.#stages?.free();
        diffusion.#stages = undefined;
        await diffusion.#stagesFor(size).ready();
      }
      options.device.check();
      return diffusion;
    } catch (error) {
      diffusion.free();
      throw error;
    }
  }

  /**
   * Makes a picture. Yields after every step, returns the image; leaving the loop early stops it and frees its memory.
   * @throws UsageError, NonFiniteError, DeviceError, OutOfMemoryError, and the signal's reason when it is aborted
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<GenerateStep, GeneratedImage> {
    const { device, config, schedule } = this;
    const settings = settingsOf(config, options);
    const { width, height, guidance, seed } = settings;
    const warnings: string[] = [];
    const clock = stopwatch();

    // prompt -> ids -> context
    const guided = guidance !== 1;
    const stages = this.#stagesFor({ width, height, guided });
    const prompts = guided ? [options.negative ?? "", prompt] : [prompt];
    device.write(stages.nonFinite, new Uint32Array(1));
    const { cut } = await stages.text.run(prompts); //                                             [P, 77, D]
    for (const tokens of cut)
      if (tokens > 0) warnings.push(`the prompt is ${tokens} tokens too long: only its first 75 are used`);
    const { vector } = stages.denoiser;
    if (vector) {
      const sizes = { original: { width, height }, crop: { top: 0, left: 0 }, target: { width, height } };
      device.write(vector, sizeVector(await stages.text.pooled(), sizes, vector.shape[1]!)); //     [P, adm]
    }
    stages.denoiser.prepare();
    stages.denoiser.guidance = guidance;
    await this.#expectFinite(stages, "the text encoder");
    const textSeconds = clock();

    // noise -> latent
    const plan = planSampling(schedule, settings);
    if (plan.choice.scheduleIgnored && options.schedule !== undefined)
      warnings.push(`sampler ${plan.choice.sampler.name} has timesteps of its own: --schedule ${options.schedule} is ignored`);
    const [latentHeight, latentWidth] = [height / config.vae.factor, width / config.vae.factor];
    const generator = LatentNoise.torchCpu(seed, 1, { height: latentHeight, width: latentWidth });
    const drawn = generator.next(); //                                                             [1, H/8, W/8, 4]
    const unit = options.noise ? toNHWC(options.noise, latentHeight, latentWidth) : drawn;
    const sampling = plan.run({
      denoiser: stages.denoiser,
      x: device.upload(
        unit.map((value) => value * plan.initialNoiseScale),
        [1, latentHeight, latentWidth, 4],
        "f32",
        "latent",
      ),
      noise: () => device.upload(generator.next(), [1, latentHeight, latentWidth, 4], "f32", "noise"),
    });
    const checks: Promise<void>[] = [];
    let latent: Tensor | undefined;
    try {
      while (!latent) {
        options.signal?.throwIfAborted();
        const next = await sampling.next();
        if (next.done) {
          latent = next.value; //                                                                  [1, H/8, W/8, 4]
          break;
        }
        const step = next.value.step + 1;
        const check = this.#expectFinite(stages, `step ${step}`);
        check.catch(() => {}); // reported when it is awaited, up to two steps later
        checks.push(check);
        if (checks.length > stepsAhead) await checks.shift();
        yield { step, steps: plan.yields, sigma: next.value.sigma, latent: next.value.latent };
      }
      await Promise.all(checks);
    } finally {
      if (!latent) await sampling.return(undefined as never);
    }
    const denoiseSeconds = clock();

    // latent -> image
    try {
      options.signal?.throwIfAborted();
      device.copy(latent, stages.latent);
      stages.decode.run(); //                                                                      [1, H, W] RGBA
      const pixels = new Uint8Array((await stages.decode.result.readU32()).buffer);
      await this.#expectFinite(stages, "the VAE decoder");
      const final = toNCHW(await latent.read(), latentHeight, latentWidth);
      return {
        width,
        height,
        pixels,
        seed,
        latent: final,
        settings,
        warnings,
        seconds: { text: textSeconds, denoise: denoiseSeconds, decode: clock() },
      };
    } finally {
      latent.free();
    }
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
    this.#stages?.free();
    this.#stages = undefined;
    this.model.free();
  }

  #stagesFor(size: StageSize): Stages {
    if (!this.#stages?.fits(size)) {
      this.#stages?.free();
      this.#stages = undefined;
      this.#stages = new Stages(this.device, this.#modules, this.tokenizer, this.config, this.schedule, size);
    }
    return this.#stages;
  }

  async #expectFinite(stages: Stages, stage: string): Promise<void> {
    const [found] = await stages.nonFinite.readU32();
    if (found) {
      throw new NonFiniteError("NON_FINITE", `${found} values that ${stage} gave are NaN or infinite`, {
        hint:
          this.device.storage === "f16"
            ? "run with --precision f32"
            : "the checkpoint may be damaged: compare its hash with the source",
        context: { stage, found },
      });
    }
  }
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

/** [1, 4, H, W] -> [1, H, W, 4] */
export function toNHWC(planes: Float32Array, height: number, width: number): Float32Array {
  const pixels = height * width;
  const channels = planes.length / pixels;
  return Float32Array.from({ length: planes.length }, (_, i) => planes[(i % channels) * pixels + Math.floor(i / channels)]!);
}

/** [1, H, W, 4] -> [1, 4, H, W] */
export function toNCHW(values: Float32Array, height: number, width: number): Float32Array {
  const pixels = height * width;
  const channels = values.length / pixels;
  return Float32Array.from({ length: values.length }, (_, i) => values[(i % pixels) * channels + Math.floor(i / pixels)]!);
}
