/**
 * @file From prompt to picture:  prompt -> ids -> context -> noise -> latent -> image.
 * Read `#run` from top to bottom; each line is a stage, and each stage has its file.
 */
import { type Device, UsageError } from "../engine/index.ts";
import type { ClipTokenizer } from "../tokenizer/index.ts";
import type { ModelSource } from "./checkpoint/byte-folder.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { rgbOf } from "./image/index.ts";
import { opaque, toNCHW } from "./image/planes.ts";
import type { LoadOptions, OpenModel } from "./load.ts";
import { LoadedModel } from "./loaded-model.ts";
import { condition } from "./picture/condition.ts";
import { decode } from "./picture/decode.ts";
import { denoise } from "./picture/denoise.ts";
import type { GeneratedImage, GenerateOptions, GenerateStep, Settings } from "./picture/generation.ts";
import type { Prepared } from "./picture/inpaint.ts";
import { type Job, newJob } from "./picture/job.ts";
import { secondPass } from "./picture/second-pass.ts";
import type { NoiseSchedule } from "./sampling/index.ts";
import { embeddingsIn } from "./text/prompt-rules.ts";

export class StableDiffusion {
  /** Its inner part, for the pictures that two models make. */
  readonly loaded: LoadedModel;
  #busy = false;
  #freed = false;

  private constructor(loaded: LoadedModel) {
    this.loaded = loaded;
  }

  /**
   * Reads a checkpoint: a file in the original layout, a shard index, or a folder (diffusers'). The pipelines of one picture
   * (`options.picture`, else one of the checkpoint's own size) compile while the weights stream in.
   * @throws ModelFileError and its codes, FileSystemError, NetworkError, OutOfMemoryError, DeviceError, UsageError INVALID_OPTION and
   * INVALID_SOURCE, and the signal's reason when it is aborted
   */
  static async load(source: ModelSource, options: LoadOptions): Promise<StableDiffusion> {
    return new StableDiffusion(await LoadedModel.load(source, options));
  }

  /**
   * Makes a picture. Yields after every step, returns the image; leaving the loop early stops it and frees its memory.
   * A stage whose f16 numbers overflow is run again in f32, and stays so for this model; one that finds no memory is run again
   * once after giving back what is free, with the VAE in tiles; where the driver refuses a kernel, another rung of it is taken.
   * @throws UsageError, NonFiniteError, DeviceError, OutOfMemoryError, and the signal's reason when it is aborted
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<GenerateStep, GeneratedImage> {
    const job = newJob(this.loaded, prompt, options);
    const models = new Set([this, ...(options.refiner ? [options.refiner.model] : [])]);
    this.#claim(models);
    try {
      for (const { loaded } of models) loaded.beginRun(options.signal);
      return yield* this.#run(job);
    } catch (error) {
      // What the GPU reported first is the cause of whatever failed after it.
      throw options.signal?.aborted ? error : await this.device.causeOf(error);
    } finally {
      for (const model of models) model.#busy = false;
      this.loaded.endRun();
      if (options.refiner) this.#endRefiner(options.refiner.model);
    }
  }

  #endRefiner({ loaded }: StableDiffusion): void {
    loaded.endRun();
    const both = this.loaded.heldBytes + loaded.heldBytes + this.device.activationBytes;
    this.loaded.noteTaken(Math.max(both, loaded.plannedBytes));
  }

  /** One picture at a time: all of them write into the same inputs. It is refused and not queued, as a generator may be left for ever. */
  #claim(models: ReadonlySet<StableDiffusion>): void {
    for (const model of models) {
      const who = model === this ? "this model" : "the refiner";
      if (model.#freed)
        throw new UsageError("MODEL_FREED", `generate: the memory of ${who} has been given back`, { hint: "load it again" });
      if (model.#busy)
        throw new UsageError("MODEL_BUSY", `generate: ${who} is making a picture already`, {
          hint: "wait for its end, or call return() on its generator to stop it; two at once need two models",
        });
      if (model.device !== this.device)
        throw new UsageError("REFINER_MISMATCH", "refiner: it is on another device than the model", {
          hint: "load both with the same device",
        });
    }
    for (const model of models) model.#busy = true;
  }

  async *#run(job: Job): AsyncGenerator<GenerateStep, GeneratedImage> {
    const { settings, options, warnings } = job;
    const { loaded } = this;
    const clock = stopwatch();
    options.signal?.throwIfAborted();
    const loras = await loaded.mending(job, () => loaded.mergeLoras(job));
    const hypernetworks = await loaded.mending(job, () => loaded.changeContexts(job));
    await loaded.mending(job, () => condition(loaded, job));
    const text = clock();
    const first = yield* denoise(loaded, job);
    const latent = job.hires ? yield* secondPass(loaded, job, job.hires, first) : first;
    const last = job.hires?.job ?? job;
    try {
      const denoised = clock();
      const { pixels, vaeTile } = await loaded.mending(last, () => decode(loaded, last, latent));
      const picture = finished(pixels, last.settings, job.prepared);
      const values = await loaded.mending(last, () => latent.read());
      const planes = toNCHW(values, ...loaded.latentSize(last.settings));
      options.signal?.throwIfAborted();
      await loaded.remember();
      warnings.push(...(job.prepared?.warnings ?? []), ...this.device.refusals);
      return {
        ...picture,
        seed: settings.seed,
        latent: planes,
        settings,
        hires: job.hires?.job.settings,
        vaeTile,
        loras,
        hypernetworks,
        embeddings: embeddingsIn(job.prompts),
        warnings,
        seconds: { text, denoise: denoised, decode: clock() },
      };
    } finally {
      latent.free();
    }
  }

  get device(): Device {
    return this.loaded.device;
  }

  get config(): ModelConfig {
    return this.loaded.config;
  }

  /** The files behind it and what they hold. */
  get model(): OpenModel {
    return this.loaded.opened;
  }

  get schedule(): NoiseSchedule {
    return this.loaded.schedule;
  }

  get tokenizer(): ClipTokenizer {
    return this.loaded.tokenizer;
  }

  /**
   * The planned memory: weights, and the activations, inputs and latents of the current picture size, a refiner's too. Or, where it was more,
   * what was taken for a while: for reading a file, merging LoRAs, enlarging a picture between two passes.
   */
  get plannedBytes(): number {
    return this.loaded.plannedBytes;
  }

  /** Where text encoder and VAE are while they have nothing to do; undefined: on the GPU. */
  get residency(): OpenModel["residency"] {
    return this.loaded.residency;
  }

  /** Dispatches of one denoising step, as recorded. */
  get dispatchesPerStep(): number {
    return this.loaded.dispatchesPerStep;
  }

  /** Gives all memory back. */
  free(): void {
    this.#freed = true;
    this.loaded.free();
  }
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
