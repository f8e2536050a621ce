/**
 * @file What the commands that make pictures share: device and model are opened once, when the first picture needs them, and
 * again only where another model is asked for or the device was lost.
 */
import { DeviceError } from "../../engine/errors.ts";
import type { Variant } from "../../model/checkpoint/config.ts";
import { RunLog } from "../../model/denoiser/run-log.ts";
import { expectNoInit, type HiresOptions } from "../../model/hires/index.ts";
import type { GeneratedImage, InitOptions, StableDiffusion } from "../../model/index.ts";
import { settingsOf } from "../../model/picture/generation.ts";
import type { BatchPlace } from "../../model/picture/picture-noise.ts";
import { namesSomethingKnown } from "../../model/text/known-words.ts";
import { SessionAddons } from "../addons/session-addons.ts";
import { type OpenDevice, openDevice } from "../gpu/device.ts";
import { type UsedFiles, usedFiles } from "../metadata/record.ts";
import { expectToFit } from "../models/expect-to-fit.ts";
import { loadModel, loadRefiner } from "../models/load-model.ts";
import { type ModelChoice, type ModelFiles, openModelFiles, sameModel } from "../models/model-files.ts";
import { Preview } from "../preview/preview.ts";
import type { PreviewOptions } from "../preview/preview-options.ts";
import type { CommandContext, GpuOptions, Txt2imgOptions } from "../syntax/options.ts";
import { HowLong } from "../terminal/how-long.ts";
import { Notices } from "../terminal/notices.ts";
import { Progress, type ProgressOptions } from "../terminal/progress.ts";
import { UpscalerLibrary } from "./hires.ts";
import { type NoiseFile, noiseFor } from "./latent-file.ts";
import { pictureSettings } from "./picture-settings.ts";
import type { MadePicture, Seconds, Summary } from "./summary.ts";

/** One picture that is wanted. */
export interface PictureRequest {
  /** `seed` is that of the batch's first picture. */
  readonly options: Txt2imgOptions;
  /** Default: a batch of its own. */
  readonly batch?: BatchPlace | undefined;
  /** A picture to start from. */
  readonly init?: InitOptions | undefined;
  readonly noise?: NoiseFile | undefined;
}

/** One picture that was made, and with what. */
export interface SessionPicture {
  readonly request: PictureRequest;
  readonly image: GeneratedImage;
  /** The files behind it, their hashes read from disk while the GPU worked. */
  readonly files: UsedFiles;
  readonly variant: Variant;
  readonly machine: { readonly adapter: string; readonly tier: string; readonly precision: string };
}

export class Session {
  readonly progress: Progress;
  readonly #machine: GpuOptions;
  readonly #signal: AbortSignal;
  #opened: OpenDevice | undefined;
  #files: ModelFiles | undefined;
  #diffusion: StableDiffusion | undefined;
  #refiner: StableDiffusion | undefined;
  readonly #addons = new SessionAddons();
  readonly #upscalers = new UpscalerLibrary();
  /** Where previews go, and the options that say so. */
  #preview: { readonly key: string; readonly opened: Preview | undefined } | undefined;
  readonly #seconds: Seconds = { load: 0, text: 0, denoise: 0, decode: 0, total: 0 };
  #steps = 0;
  /** Of the model that was loaded last. */
  #counted = { dispatchesPerStep: 0, plannedBytes: 0 };
  /** Models that are there. */
  readonly #expected = new Set<string>();
  readonly #notices: Notices;
  readonly #howLong = new HowLong();

  constructor(options: GpuOptions & ProgressOptions, { signal }: CommandContext) {
    this.progress = new Progress(options);
    this.#notices = new Notices(this.progress);
    this.#machine = options;
    this.#signal = signal;
  }

  /**
   * Makes a picture, with the model that its options name; if the device is lost, once more on a new one. After an error the
   * session goes on with the next picture.
   * @throws LimnError of every class; the signal's reason when it is aborted
   */
  async make(request: PictureRequest, signal = this.#signal): Promise<SessionPicture> {
    const { options } = request;
    await this.#addons.expectKnown(options);
    expectNoInit(options.hires, request.init);
    await this.#upscalers.expectFile(options.hires);
    const preview = await this.#previewFor(options.preview);
    const { model, vae, refiner } = await this.openFiles(options);
    const log = new RunLog();
    return this.onDevice(async (opened) => {
      const diffusion = await this.#load(request, opened, signal);
      const files = usedFiles(options, { model: model.name, vae: vae?.name, refiner: refiner?.name }, this.#signal);
      const image = await this.#generate({ ...request, log }, diffusion, preview, signal);
      opened.device.check();
      const { tier, storage } = opened.device;
      const machine = { adapter: opened.adapter, tier, precision: storage };
      const addons = await this.#addons.references(options, image, this.#signal);
      return { request, image, files: { ...(await files), ...addons }, variant: diffusion.config.variant, machine };
    }, signal);
  }

  /**
   * All that can be known to be missing before anything is loaded: models, what is added to them, upscalers. For runs of many pictures.
   * @throws UsageError, FileSystemError, ModelFileError, NetworkError
   */
  async expect(options: Txt2imgOptions): Promise<void> {
    await this.#addons.expectKnown(options);
    await this.#upscalers.expectFile(options.hires);
    const { model, vae, refiner } = options;
    const named = JSON.stringify([model, vae, refiner]);
    if (!this.#expected.has(named)) await (await openModelFiles(options, this.#signal)).close();
    this.#expected.add(named);
  }

  /** Opens the model's files, unless they are; nothing is loaded. @throws FileSystemError, NetworkError */
  async openFiles(choice: ModelChoice): Promise<ModelFiles> {
    if (this.#files && sameModel(this.#files.choice, choice)) return this.#files;
    const files = await openModelFiles(choice, this.#signal);
    this.#unload();
    await this.#files?.close();
    this.#files = files;
    return files;
  }

  /** Work on the device, which is opened if it is not; if it is lost, once more on a new one. A picture goes on where it was. */
  async onDevice<T>(work: (opened: OpenDevice) => Promise<T>, signal = this.#signal): Promise<T> {
    for (let lost = 0; ; lost++) {
      const opened = await this.#open();
      try {
        return await work(opened);
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        // Nothing on it is trusted any more: the next picture begins on a new one.
        this.#closeDevice();
        if (error.code !== "DEVICE_LOST" || lost > 0 || signal.aborted) throw error;
        this.progress.warn(`${error.message}: going on with a new device`);
      }
    }
  }

  /** What the session did so far. */
  summary(images: readonly MadePicture[]): Summary {
    const device = this.#opened?.device;
    this.#count();
    return {
      images,
      seconds: { ...this.#seconds, total: performance.now() / 1000 },
      stepsPerSecond: this.#seconds.denoise > 0 ? this.#steps / this.#seconds.denoise : 0,
      dispatchesPerStep: this.#counted.dispatchesPerStep,
      hostMicrosPerDispatch: device?.submitter.hostMicrosPerDispatch ?? 0,
      bindGroupsBuiltInReplay: device?.counters.bindGroupsBuiltInReplay ?? 0,
      gpuBytes: device?.memory.peakBytes ?? 0,
      plannedBytes: this.#counted.plannedBytes,
      adapter: this.#opened?.adapter ?? "",
      tier: device?.tier ?? "",
      precision: device?.storage ?? "",
    };
  }

  async close(): Promise<void> {
    this.progress.clear();
    // An interrupted process ends at once, and its device with it; to destroy the device is to wait for what was submitted.
    if (!this.#signal.aborted) this.#closeDevice();
    await this.#files?.close();
    await this.#addons.close();
    this.#files = undefined;
  }

  async #open(): Promise<OpenDevice> {
    if (this.#opened) return this.#opened;
    const opened = await openDevice(this.#machine);
    if (opened.software) this.#notices.note(`no GPU: the CPU does the work (${opened.adapter})`);
    this.#opened = opened;
    return opened;
  }

  #closeDevice(): void {
    this.#unload();
    this.#opened?.close();
    this.#opened = undefined;
  }

  #unload(): void {
    this.#upscalers.free();
    this.#count();
    this.#diffusion?.free();
    this.#diffusion = undefined;
    this.#refiner?.free();
    this.#refiner = undefined;
  }

  #count(): void {
    if (!this.#diffusion) return;
    const { dispatchesPerStep, plannedBytes } = this.#diffusion;
    this.#counted = { dispatchesPerStep, plannedBytes };
  }

  /** The model of the open files, and its refiner. */
  async #load({ options, init }: PictureRequest, opened: OpenDevice, signal: AbortSignal): Promise<StableDiffusion> {
    if (this.#diffusion) return this.#diffusion;
    const files = this.#files!;
    await expectToFit(options, files, opened);
    this.progress.stage("load");
    const start = performance.now();
    const { precision } = this.#machine;
    const { progress } = this;
    const picture = {
      ...pictureSettings(options),
      prompt: options.prompt,
      init,
      embeddings: await this.#addons.embeddings(options),
    };
    const diffusion = await loadModel(files, picture, { device: opened.device, precision, progress, signal });
    this.#diffusion = diffusion;
    if (files.refiner) {
      const { width, height } = settingsOf(diffusion.config, { ...pictureSettings(options), init });
      const same = { ...pictureSettings(options), prompt: options.prompt, width, height };
      this.#refiner = await loadRefiner(files.refiner, files.choice, same, {
        device: opened.device,
        precision,
        progress,
        signal,
      });
    }
    this.#seconds.load += (performance.now() - start) / 1000;
    this.progress.end(opened.adapter);
    for (const warning of diffusion.model.warnings) this.#notices.warn(warning);
    this.#notices.unused(diffusion.model.checkpoints);
    return diffusion;
  }

  async #generate(
    { options, init, noise, batch = { index: 0, size: 1 }, log }: PictureRequest & { readonly log: RunLog },
    diffusion: StableDiffusion,
    preview: Preview | undefined,
    signal: AbortSignal,
  ): Promise<GeneratedImage> {
    const { progress } = this;
    const settings = pictureSettings(options);
    const size = settingsOf(diffusion.config, { ...settings, seed: options.seed, init });
    this.#noteUnknownWords(options.prompt, diffusion);
    const generation = diffusion.generate(options.prompt, {
      ...settings,
      seed: options.seed,
      batch,
      signal,
      log,
      noise: noise && noiseFor(noise, size.width, size.height),
      init,
      hires: await this.#hires(options, diffusion, signal),
      previews: preview !== undefined,
      refiner: this.#refiner && { model: this.#refiner, at: options.refinerAt },
      ...(await this.#addons.request(options)),
    });
    progress.stage("denoise");
    preview?.begin();
    for (;;) {
      const next = await generation.next();
      if (next.done) {
        // The steps end on the GPU after they were told of, so that the stage's own clock began too early.
        progress.end("", next.value.seconds.decode);
        for (const warning of next.value.warnings) this.#notices.warn(warning);
        for (const stage of ["text", "denoise", "decode"] as const) this.#seconds[stage] += next.value.seconds[stage];
        return next.value;
      }
      this.#steps++;
      await preview?.show(next.value);
      progress.step(next.value.step, next.value.steps);
      const long = this.#opened?.software && this.#howLong.after(next.value.step, next.value.steps, progress.secondsOfStage);
      if (long) progress.note(long);
      if (next.value.step === next.value.steps) progress.stage("decode");
    }
  }

  #hires({ hires, compat }: Txt2imgOptions, { device }: StableDiffusion, signal: AbortSignal): Promise<HiresOptions> | undefined {
    const { progress } = this;
    const onTile = (done: number, total: number) => {
      if (done === 1) progress.stage("upscale");
      progress.step(done, total);
      if (done === total) progress.stage("denoise");
    };
    const order = compat === "a1111" ? "bgr" : "rgb"; // it hands networks blue as red
    return hires && this.#upscalers.request(hires, device, { onTile, signal, order });
  }

  /** Opened once for all pictures that ask for the same. */
  async #previewFor(options: PreviewOptions): Promise<Preview | undefined> {
    const key = JSON.stringify(options);
    if (this.#preview?.key !== key) this.#preview = { key, opened: await Preview.open(options, this.progress) };
    return this.#preview.opened;
  }

  /** A small model does not know most words. */
  #noteUnknownWords(prompt: string, { config }: StableDiffusion): void {
    const { knows } = config;
    if (prompt.trim() === "" || namesSomethingKnown(prompt, knows)) return;
    const some = [1, 2, 3].map((quarter) => knows[Math.floor((quarter * knows.length) / 4)]);
    this.#notices.note(`note: this small model knows none of these words; it does know, for example, ${some.join(", ")}`, prompt);
  }
}
