/** @file `limn "PROMPT"`: checks everything that can be checked, loads the model, makes the pictures, writes them. */
import { totalmem } from "node:os";
import { DeviceError, OutOfMemoryError } from "../../engine/errors.ts";
import type { Variant } from "../../model/checkpoint/config.ts";
import { settingsOf } from "../../model/generation.ts";
import { type GeneratedImage, type InitOptions, StableDiffusion } from "../../model/index.ts";
import { planModel } from "../../model/plan.ts";
import { namesSomethingKnown } from "../../model/prompt.ts";
import { resolveSampling } from "../../model/sampling/index.ts";
import { type OpenDevice, openDevice } from "../device.ts";
import { embeddedModel } from "../embedded-model.ts";
import { type NoiseFile, noiseFor, readNoise, writeLatent } from "../latent-file.ts";
import { recordPicture, textsOf, type UsedFiles, usedFiles } from "../metadata/record.ts";
import { type OpenModelSource, openModelSource } from "../model-source.ts";
import type { CommandContext, Txt2imgOptions } from "../options.ts";
import { pictureSettings } from "../picture-settings.ts";
import { type Place, preparePlaces } from "../places.ts";
import { encodePng } from "../png/png.ts";
import { Progress } from "../progress.ts";
import { writeStdout } from "../stdout.ts";
import { type MadePicture, type Seconds, type Summary, summaryJson, summaryText } from "../summary.ts";

/** @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(options: Txt2imgOptions, { signal }: CommandContext, init?: InitOptions): Promise<void> {
  const progress = new Progress(options);
  if (options.prompt.trim() === "") progress.warn("the prompt is empty: the picture will show anything");
  if (options.sampler !== undefined || options.schedule !== undefined) resolveSampling(options);
  const places = await preparePlaces(options);
  const noise = options.noise === undefined ? undefined : await readNoise(options.noise);
  const model = await openModelSource(options.model ?? embeddedModel, signal);
  const vae = options.vae === undefined ? undefined : await openModelSource(options.vae, signal);
  try {
    const summary = await withDevice({ options, init, signal, progress, places, noise, model, vae, images: [] });
    const toStderr = options.output === "-";
    if (options.json) await writeStdout(summaryJson(summary));
    else if (toStderr) for (const line of summaryText(summary).trimEnd().split("\n")) progress.note(line);
    else await writeStdout(summaryText(summary));
  } finally {
    progress.clear();
    await model.close();
    await vae?.close();
  }
}

interface Job {
  readonly options: Txt2imgOptions;
  /** A picture to start from. */
  readonly init: InitOptions | undefined;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  readonly places: readonly Place[];
  readonly noise: NoiseFile | undefined;
  readonly model: OpenModelSource;
  readonly vae: OpenModelSource | undefined;
  readonly opened: OpenDevice;
  /** Written so far: more than none when a run goes on after its device was lost. */
  readonly images: MadePicture[];
}

/** Makes the pictures; if the device is lost, once more on a new one, beginning with the picture that was being made. */
async function withDevice(task: Omit<Job, "opened">): Promise<Summary> {
  const { options, signal, progress } = task;
  for (let lost = 0; ; lost++) {
    const opened = await openDevice(options);
    try {
      if (opened.software && lost === 0) progress.note(`no GPU: the CPU does the work (${opened.adapter})`);
      return await makePictures({ ...task, opened });
    } catch (error) {
      const again = error instanceof DeviceError && error.code === "DEVICE_LOST" && lost === 0 && !signal.aborted;
      if (!again) throw error;
      progress.warn(`${error.message}: starting again on a new device`);
    } finally {
      opened.close();
    }
  }
}

async function makePictures(job: Job): Promise<Summary> {
  const { options, init, signal, progress, places, model, vae, opened, images } = job;
  const { device } = opened;
  const { prompt, prediction, maxHeader, strict, allowNonfinite } = options;
  await expectToFit(job);
  progress.stage("load");
  const start = performance.now();
  const diffusion = await StableDiffusion.load(model, {
    device,
    signal,
    vae,
    maxHeader,
    strict,
    allowNonfinite,
    prediction: prediction === "auto" ? undefined : prediction,
    picture: { ...pictureSettings(options), prompt, init },
  });
  try {
    const seconds: Seconds = { load: (performance.now() - start) / 1000, text: 0, denoise: 0, decode: 0, total: 0 };
    progress.end(opened.adapter);
    sayWhatIsKnown(job, diffusion);
    // The hashes are read from disk while the GPU works.
    const files = usedFiles(options, { model: model.name, vae: vae?.name }, signal);
    const warned = new Set<string>();
    let steps = 0;
    for (const place of places.slice(images.length)) {
      const made = await makeOne(job, diffusion, images.length);
      for (const warning of made.image.warnings) if (!warned.has(warning)) progress.warn(warning);
      for (const warning of made.image.warnings) warned.add(warning);
      for (const stage of ["text", "denoise", "decode"] as const) seconds[stage] += made.image.seconds[stage];
      steps += made.steps;
      device.check();
      images.push(await keep(job, place, made.image, diffusion.config.variant, await files));
    }
    seconds.total = performance.now() / 1000;
    return {
      images,
      seconds,
      stepsPerSecond: steps / seconds.denoise,
      dispatchesPerStep: diffusion.dispatchesPerStep,
      hostMicrosPerDispatch: device.submitter.hostMicrosPerDispatch,
      bindGroupsBuiltInReplay: device.counters.bindGroupsBuiltInReplay,
      gpuBytes: device.memory.peakBytes,
      plannedBytes: diffusion.plannedBytes,
      adapter: opened.adapter,
      tier: device.tier,
      precision: device.storage,
    };
  } finally {
    diffusion.free();
  }
}

/** Pictures of fewer pixels are not planned first: what runs out of memory at that size says so soon enough. */
const plannedPixels = 512 * 512;

/** Refuses a picture that can't fit before anything is loaded. @throws OutOfMemoryError PICTURE_TOO_LARGE */
async function expectToFit({ options, model, vae, opened }: Job): Promise<void> {
  const { width = 0, height = 0, guidance, maxHeader } = options;
  if (width * height <= plannedPixels) return;
  const { device, software } = opened;
  // A software adapter's memory is the machine's; WebGPU does not tell that of a card.
  const memory = software ? totalmem() : undefined;
  const like = { tier: device.tier, precision: device.storage, vae, maxHeader, memory };
  const { problem } = await planModel(model, device, { ...like, size: { width, height, guidance } });
  if (!problem) return;
  throw new OutOfMemoryError("PICTURE_TOO_LARGE", `${width}x${height} does not fit here: ${problem.message}`, {
    hint: problem.hint ?? "make a smaller picture; `limn plan` tells what a size takes",
    context: { width, height },
  });
}

/** One picture, and how many steps it took. */
async function makeOne({ options, init, signal, progress, noise }: Job, diffusion: StableDiffusion, index: number) {
  const settings = pictureSettings(options);
  const size = settingsOf(diffusion.config, { ...settings, seed: options.seed, init });
  const unitNoise = noise && noiseFor(noise, size.width, size.height);
  const generation = diffusion.generate(options.prompt, {
    ...settings,
    seed: options.seed,
    batch: { index, size: options.batch },
    signal,
    noise: unitNoise,
    init,
  });
  progress.stage("denoise");
  let done = 0;
  for (;;) {
    const next = await generation.next();
    if (next.done) {
      progress.end();
      return { image: next.value, steps: done };
    }
    done = next.value.step;
    progress.step(done, next.value.steps);
    if (done === next.value.steps) progress.stage("decode");
  }
}

/** Writes the picture, and its latent if asked for. */
async function keep(
  { options, opened, images }: Job,
  place: Place,
  image: GeneratedImage,
  variant: Variant,
  files: UsedFiles,
): Promise<MadePicture> {
  const { width, height, pixels, seed, settings } = image;
  const { device, adapter } = opened;
  const machine = { tier: device.tier, precision: device.storage, adapter };
  const recipe = recordPicture({ options, image, index: images.length, variant, files, machine });
  const png = encodePng({ width, height, data: withoutAlpha(pixels) }, textsOf(recipe));
  if (place.latent)
    await place.latent.write(writeLatent("latent", [1, 4, settings.height / 8, settings.width / 8], image.latent));
  const path = (await place.picture?.write(png)) ?? "-";
  if (!place.picture) await writeStdout(png);
  return { path, seed, width, height };
}

/** What a user should know before waiting: ignored tensors, words that a small model does not know. */
function sayWhatIsKnown({ options, progress }: Job, diffusion: StableDiffusion): void {
  for (const warning of diffusion.model.warnings) progress.warn(warning);
  for (const { unused } of diffusion.model.checkpoints) {
    if (unused.length > 0) progress.note(`${unused.length} tensors of the checkpoint are not used (--strict refuses them)`);
  }
  const { knows } = diffusion.config;
  if (namesSomethingKnown(options.prompt, knows)) return;
  const some = [1, 2, 3].map((quarter) => knows[Math.floor((quarter * knows.length) / 4)]);
  progress.note(`note: this small model knows none of these words; it does know, for example, ${some.join(", ")}`);
}

/** RGBA -> RGB: the picture is opaque, and most tools expect three channels. */
function withoutAlpha(pixels: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    rgb[to] = pixels[from]!;
    rgb[to + 1] = pixels[from + 1]!;
    rgb[to + 2] = pixels[from + 2]!;
  }
  return rgb;
}
