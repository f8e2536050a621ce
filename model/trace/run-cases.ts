/**
 * @file Whole runs: `run.noise` -> `run.<schedule>.<sampler>`, the final latent, and `.image`, the decoded picture. They go through
 * the same recorded denoiser as a picture does. Their sigmas are results too: of a schedule.
 */
import type { Tensor } from "../../engine/index.ts";
import { toPixels } from "../../kernels/index.ts";
import { UNetDenoiser } from "../denoiser/denoiser.ts";
import { NoiseSchedule } from "../sampling/index.ts";
import { type SigmaSamplerEntry, samplers } from "../sampling/sampler-table.ts";
import { findByName, schedules } from "../sampling/schedule-table.ts";
import { channelsFirst, channelsLast, upload } from "./layout.ts";
import { type Computed, contextNames, type RecordedTensors } from "./trace-case.ts";
import type { TraceModel } from "./trace-model.ts";

export async function* runCases(recorded: RecordedTensors, model: TraceModel): AsyncGenerator<Computed> {
  yield* sigmaCases(recorded, model);
  const runs = await openRuns(recorded, model);
  if (runs === undefined) return;
  try {
    await runs.denoiser.ready();
    runs.denoiser.prepare();
    for (const [name, shape] of recorded.shapes) {
      const found = findRun(recorded, name);
      if (found === undefined || shape.length !== 4) continue;
      const { latent, pixels } = await follow(recorded, model, runs, found, recorded.shapes.has(`${name}.image`));
      yield { name, values: latent };
      if (pixels) yield { name: `${name}.image`, values: pixels };
    }
  } finally {
    runs.free();
  }
}

/** `run.<schedule>.sigmas`; `run.sigmas` are karras'. */
async function* sigmaCases({ shapes }: RecordedTensors, { config }: TraceModel): AsyncGenerator<Computed> {
  for (const [name, [count = 0]] of shapes) {
    const [found, scheduleName = "karras"] = /^run(?:\.(\w+))?\.sigmas$/.exec(name) ?? [];
    const schedule = found === undefined ? undefined : findByName(schedules, scheduleName);
    if (schedule !== undefined) yield { name, values: schedule.sigmas(new NoiseSchedule(config.schedule), count - 1) };
  }
}

interface FoundRun {
  readonly sampler: SigmaSamplerEntry;
  readonly sigmasName: string;
}

function findRun({ shapes }: RecordedTensors, name: string): FoundRun | undefined {
  const [, schedule, samplerName] = /^run\.(\w+)\.(\w+)$/.exec(name) ?? [];
  const sampler = samplers.find((entry) => entry.name === samplerName);
  const sigmasName = [`run.${schedule}.sigmas`, "run.sigmas"].find((sigmas) => shapes.has(sigmas));
  return sampler?.space === "sigma" && sigmasName !== undefined ? { sampler, sigmasName } : undefined;
}

interface Runs {
  readonly denoiser: UNetDenoiser;
  /** Latent size [1, C, H, W] of one image. */
  readonly shape: readonly [number, number, number, number];
  free(): void;
}

/** The denoiser for the recorded prompts and size; undefined where limn can't run this family's yet. */
async function openRuns(recorded: RecordedTensors, { device, config, unet }: TraceModel): Promise<Runs | undefined> {
  const noiseShape = recorded.shapes.get("run.noise");
  const contextName = contextNames.find((name) => recorded.shapes.has(name));
  if (unet === undefined || noiseShape === undefined || contextName === undefined) return undefined;
  const { admChannels } = config.unet;
  if (config.variant !== "base" || (admChannels !== undefined && !recorded.shapes.has("vector"))) return undefined;
  const [, channels = 4, height = 1, width = 1] = noiseShape;
  const [prompts = 1, tokens = 1, dim = 1] = recorded.shapes.get(contextName)!;
  const contexts = await recorded.read(contextName);
  const negative = Math.min(Number(recorded.metadata["negative"] ?? 1), prompts - 1);
  /** Two rows of a recorded table [P, size]: the negative prompt's first, then the prompt's. */
  const guided = (rows: Float32Array, size: number) =>
    Float32Array.of(...rows.subarray(negative * size, (negative + 1) * size), ...rows.subarray(0, size));
  const context = upload(device, guided(contexts, tokens * dim), [2, tokens, dim]); // [2, T, D]
  const nonFinite = device.upload(new Uint32Array(1), [1]);
  const schedule = new NoiseSchedule(config.schedule);
  const denoiser = new UNetDenoiser({ unet, prediction: config.prediction, schedule, height, width, context, nonFinite });
  if (denoiser.vector) device.write(denoiser.vector, guided(await recorded.read("vector"), admChannels!)); // [2, adm]
  denoiser.guidance = Number(recorded.metadata["cfg"] ?? 1);
  return {
    denoiser,
    shape: [1, channels, height, width],
    free() {
      denoiser.free();
      context.free();
      nonFinite.free();
    },
  };
}

/** One recorded run, image by image: the final latents [N, C, H, W] and, if wanted, the pictures as bytes [N, 3, 8H, 8W]. */
async function follow(
  recorded: RecordedTensors,
  model: TraceModel,
  { denoiser, shape: [, channels, height, width] }: Runs,
  { sampler, sigmasName }: FoundRun,
  decode: boolean,
): Promise<{ latent: Float32Array; pixels: Uint8Array | undefined }> {
  const { device } = model;
  const area = height * width;
  const sigmas = Array.from(await recorded.read(sigmasName));
  const unit = await recorded.read("run.noise"); //                                              [N, C, H, W]
  const draws = recorded.shapes.has("run.step_noise") ? await recorded.read("run.step_noise") : new Float32Array(0);
  const size = channels * area;
  const images = unit.length / size;
  const latent = new Float32Array(unit.length);
  const pictures: Uint8Array[] = [];
  for (let n = 0; n < images; n++) {
    const place = (values: Float32Array, factor = 1) =>
      device.upload(
        channelsLast(values, channels, area).map((value) => value * factor),
        [1, height, width, channels],
      );
    let drawn = 0;
    const noise = () => {
      const from = (drawn++ * images + n) * size;
      return place(draws.subarray(from, from + size));
    };
    const x = place(unit.subarray(n * size, (n + 1) * size), sigmas[0]);
    const sampling = sampler.sample({ denoiser, x, sigmas, noise, eta: sampler.eta });
    let step = await sampling.next();
    while (!step.done) step = await sampling.next();
    try {
      latent.set(channelsFirst(await step.value.read(), channels, area), n * size);
      if (decode) pictures.push(await decoded(model, step.value));
    } finally {
      step.value.free();
    }
  }
  return { latent, pixels: decode ? concatenate(pictures) : undefined };
}

/** Latent f32 [1, H, W, C] -> bytes [3, 8H, 8W] */
async function decoded({ device, config, decoder }: TraceModel, latent: Tensor): Promise<Uint8Array> {
  const scaled = (await latent.read()).map((value) => value / config.vae.scaleFactor);
  const picture = device.scope(() => toPixels(decoder!.forward(device.upload(scaled, latent.shape, device.storage))));
  const rgba = new Uint8Array((await picture.readU32()).buffer);
  picture.free();
  return Uint8Array.from(channelsFirst(rgba, 4, rgba.length / 4, 3));
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
