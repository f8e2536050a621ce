/** @file The denoiser that samplers ask: U-Net, classifier-free guidance and parameterisation as one function of (x, sigma). */
import type { Capture, Device, Tensor } from "../../engine/index.ts";
import {
  cast,
  combine,
  compileStepKernels,
  composedGuidance,
  concat,
  countNonFinite,
  guidance,
  imageGuidance,
  modelInput,
  rescaledGuidance,
} from "../../kernels/index.ts";
import type { Prediction, Variant } from "../checkpoint/config.ts";
import type { BothDenoised, Denoiser, NoiseLevel, NoiseSchedule } from "../sampling/index.ts";
import { projectedGuidance } from "../unet/guidance-embedding.ts";
import { timestepEmbedding } from "../unet/timestep-embedding.ts";
import type { Conditioning, UNet } from "../unet/unet.ts";
import { denoisedFrom, epsFrom, inputScale, x0From } from "./parameterisation.ts";

export interface DenoiserOptions {
  readonly unet: UNet;
  readonly prediction: Prediction;
  /** Default: base. */
  readonly variant?: Variant;
  readonly schedule: NoiseSchedule;
  /** Latent size. */
  readonly height: number;
  readonly width: number;
  /**
   * [1, S, D] without guidance; with it [1 + parts, S, D]: the negative prompt's, then those of the prompt, which has one part
   * unless AND joins several. pix2pix: the negative one's twice, then the prompt's.
   */
  readonly context: Tensor;
  /** dtype of the activations of the U-Net; default: the storage of the device. */
  readonly storage?: "f32" | "f16";
  /** u32 [1], counts NaN and infinity in the U-Net's output. */
  readonly nonFinite: Tensor;
}

/**
 * Records the U-Net once for one size; each call writes its inputs and replays it.
 * The keys and values of cross-attention are computed by `prepare`, once a prompt.
 */
export class UNetDenoiser implements Denoiser {
  /** CFG scale (Ho & Salimans 2022): D = D_negative + guidance (D_prompt - D_negative). */
  guidance = 1;
  /** Shares of the prompt's parts: D = D_negative + guidance * sum of weight (D_part - D_negative). */
  weights: readonly number[] = [1];
  /** 0..1: how far the guided output gets the spread of the prompt's own (Lin et al. 2024; diffusers' guidance_rescale). */
  guidanceRescale = 0;
  /** pix2pix: how strictly to follow the picture (Brooks et al. 2023, eq. 3). */
  imageGuidance = 1;
  /** Tell the U-Net the nearest whole timestep of a sigma, as ComfyUI does. */
  wholeTimesteps = false;
  /** Training schedule that sigmas and timesteps belong to. */
  schedule: NoiseSchedule;
  /** Called before each run of the U-Net with its number, from 0: the place for prompt editing. */
  beforeCall: ((call: number) => void) | undefined;
  /** Keep what is to be shown of each call, see `denoised`. */
  previews = false;
  /** SDXL's vector [copies, adm], to be written before the first step; undefined for other families. */
  readonly vector: Tensor | undefined;
  readonly variant: Variant;
  readonly prepared: Capture<Conditioning>;
  readonly step: Capture<Tensor>;
  readonly #options: DenoiserOptions;
  readonly #device: Device;
  readonly #copies: number;
  readonly #context: Tensor;
  readonly #input: Tensor;
  /** Channels behind the latent's, padded to a multiple of 4 [copies, H, W, C]: see `setExtra`. */
  readonly #extra: Tensor | undefined;
  readonly #time: Tensor;
  /** LCM: added to every timestep's embedding. */
  #guidanceShift: Float32Array | undefined;
  /** U-Net runs of this picture so far. */
  #calls = 0;
  /** Of the last call. */
  readonly #results: Tensor[] = [];
  #denoised: Tensor | undefined;

  constructor(options: DenoiserOptions) {
    const { unet, context, height, width, nonFinite } = options;
    const device = context.device;
    const storage = options.storage ?? device.storage;
    this.#options = options;
    this.schedule = options.schedule;
    this.#context = context;
    this.variant = options.variant ?? "base";
    this.#device = device;
    this.#copies = context.shape[0]!;
    this.#input = device.empty([this.#copies, height, width, unet.config.outChannels], storage, "U-Net input");
    const extra = Math.ceil(unet.config.inChannels / 4) * 4 - unet.config.outChannels;
    this.#extra = extra === 0 ? undefined : device.empty([this.#copies, height, width, extra], storage, "further input channels");
    this.#time = device.empty([this.#copies, unet.config.modelChannels], storage, "timestep embedding");
    const { admChannels } = unet.config;
    this.vector = admChannels === undefined ? undefined : device.empty([this.#copies, admChannels], storage, "size vector");
    this.prepared = device.capture(() => unet.prepare(context.dtype === storage ? context : cast(context, storage)));
    this.step = device.capture(() => {
      const input = this.#extra ? concat(this.#input, this.#extra) : this.#input;
      const out = unet.forward(input, this.#time, this.prepared.result, this.vector); // [copies, H, W, 4]
      countNonFinite(out, nonFinite);
      return out;
    });
    this.#compileStepKernels().catch(() => {}); // beside the others; `ready` reports it
  }

  /** Pipelines compiled, bind groups built. */
  async ready(): Promise<void> {
    await Promise.all([this.prepared.ready(), this.step.ready(), this.#compileStepKernels()]);
  }

  /** To be called when `context` has new contents. */
  prepare(): void {
    this.prepared.run();
  }

  /** Puts contexts [S * D] into `context`, one for each copy, and prepares. `vectors` [copies * adm] are SDXL's. */
  tell(contexts: readonly Float32Array[], vectors?: Float32Array): void {
    const all = new Float32Array(this.#context.size);
    for (const [copy, context] of contexts.entries()) all.set(context, copy * context.length);
    this.#device.write(this.#context, all);
    if (this.vector && vectors) this.#device.write(this.vector, vectors);
    this.prepare();
  }

  /** Tells a model that takes the guidance scale as an input (LCM) what it is; nothing for the others. */
  async embedGuidance(guidance: number): Promise<void> {
    const { guidanceProjection } = this.#options.unet;
    if (guidanceProjection) this.#guidanceShift = await projectedGuidance(guidanceProjection, guidance);
  }

  /** The channels behind the latent's, [H, W, C] for all copies or for each; they don't change in a run, and no c_in is put to them. */
  setExtra(values: readonly Float32Array[]): void {
    if (!this.#extra) return;
    const all = new Float32Array(this.#extra.size);
    const each = all.length / this.#copies;
    for (let copy = 0; copy < this.#copies; copy++) all.set(values[copy % values.length]!, copy * each);
    this.#device.write(this.#extra, all);
  }

  denoise(x: Tensor, sigma: number): Tensor {
    return this.denoiseBoth(x, sigma, false).guided;
  }

  denoiseBoth(x: Tensor, sigma: number, both = true): BothDenoised {
    const { prediction } = this.#options;
    const timestep = this.schedule.sigmaToTimestep(sigma);
    const told = this.wholeTimesteps ? Math.round(timestep) : timestep;
    return this.#predict(x, inputScale(sigma), told, denoisedFrom(prediction, sigma), both);
  }

  eps(x: Tensor, { timestep, alphaBar }: NoiseLevel): Tensor {
    const { prediction } = this.#options;
    const shown = this.previews ? x0From(prediction, alphaBar) : undefined;
    return this.#predict(x, 1, timestep, epsFrom(prediction, alphaBar), false, shown).guided;
  }

  x0(x: Tensor, { timestep, alphaBar }: NoiseLevel): Tensor {
    return this.#predict(x, 1, timestep, x0From(this.#options.prediction, alphaBar)).guided;
  }

  /** What the last call took the picture to be, f32 [1, H, W, 4], valid until the next one; with `previews` only. */
  get denoised(): Tensor | undefined {
    return this.previews ? this.#denoised : undefined;
  }

  /** Tensors that each call writes. */
  get inputs(): readonly Tensor[] {
    return [this.#input, this.#extra, this.#time, this.vector].filter((tensor) => tensor !== undefined);
  }

  /** Runs of the U-Net since the run began; `beforeCall` is told the next one's number. */
  get calls(): number {
    return this.#calls;
  }

  /** Goes on with a run that another model began, which has made so many calls. */
  continueFrom(calls: number): void {
    this.endRun();
    this.#calls = calls;
  }

  /** Gives back the result of the last call, when no more calls follow; the next one is the first of a run again. */
  endRun(): void {
    this.#calls = 0;
    this.#denoised = undefined;
    for (const tensor of this.#results.splice(0)) tensor.free();
  }

  free(): void {
    this.endRun();
    this.#input.free();
    this.#extra?.free();
    this.#time.free();
    this.vector?.free();
    this.step.dispose();
    this.prepared.dispose();
  }

  /**
   * ofX x + ofOutput out, where out is the guided output of the U-Net for the input `scale` x at `timestep`, and with `both` the
   * same of the negative prompt's output. x [1, H, W, 4] f32. `shown`: the coefficients of the picture, where the result is none.
   */
  #predict(
    x: Tensor,
    scale: number,
    timestep: number,
    coefficients: readonly [ofX: number, ofOutput: number],
    both = false,
    shown?: readonly [ofX: number, ofOutput: number],
  ): BothDenoised {
    this.beforeCall?.(this.#calls++);
    const copies = this.#copies;
    const { modelChannels } = this.#options.unet.config;
    const time = timestepEmbedding(Array<number>(copies).fill(timestep), modelChannels);
    const shift = this.#guidanceShift;
    this.#device.write(this.#time, shift ? time.map((value, i) => value + shift[i % modelChannels]!) : time);
    modelInput(x, { factor: scale, copies, into: this.#input });
    this.step.run();
    for (const tensor of this.#results.splice(0)) tensor.free();
    const results = this.#device.scope(() => {
      const out = this.step.result; //                                             [copies, H, W, 4]
      const outputs = copies === 1 ? [cast(out, "f32")] : [this.#guided(out), ...(both ? [this.#unguided(out)] : [])];
      const made = ([ofX, ofOutput]: readonly [number, number], output: Tensor) =>
        combine([
          [ofX, x],
          [ofOutput, output],
        ]); //                                                                     [1, H, W, 4]
      const [first, second] = outputs;
      return {
        guided: made(coefficients, first!),
        negative: second && made(coefficients, second),
        shown: shown && made(shown, first!),
      };
    });
    const { guided, negative = guided } = results;
    this.#denoised = results.shown ?? guided;
    this.#results.push(...Object.values(results).filter((tensor) => tensor !== undefined));
    return { guided, negative };
  }

  #compileStepKernels(): Promise<void> {
    return compileStepKernels(this.#device, this.step.result.dtype);
  }

  #guided(out: Tensor): Tensor {
    if (this.variant === "pix2pix") return imageGuidance(out, this.imageGuidance, this.guidance);
    const [weight = 1, ...others] = this.weights;
    if (others.length > 0)
      return composedGuidance(
        out,
        this.weights.map((one) => one * this.guidance),
      );
    if (this.guidanceRescale === 0) return guidance(out, weight * this.guidance);
    return rescaledGuidance(out, weight * this.guidance, this.guidanceRescale);
  }

  /** What the prompt had no part in. */
  #unguided(out: Tensor): Tensor {
    if (this.variant === "pix2pix") return imageGuidance(out, this.imageGuidance, 0);
    return this.#copies === 2
      ? guidance(out, 0)
      : composedGuidance(
          out,
          this.weights.map(() => 0),
        );
  }
}
