/** @file The denoiser that samplers ask: U-Net, classifier-free guidance and parameterisation as one function of (x, sigma). */
import type { Capture, Device, Tensor } from "../engine/index.ts";
import { cast, combine, countNonFinite, guidance, modelInput } from "../kernels/index.ts";
import type { Prediction } from "./checkpoint/config.ts";
import { denoisedFrom, epsFrom, inputScale } from "./parameterisation.ts";
import type { Denoiser, NoiseSchedule } from "./sampling/index.ts";
import { timestepEmbedding } from "./unet/timestep-embedding.ts";
import type { Conditioning, UNet } from "./unet/unet.ts";

export interface DenoiserOptions {
  readonly unet: UNet;
  readonly prediction: Prediction;
  readonly schedule: NoiseSchedule;
  /** Latent size. */
  readonly height: number;
  readonly width: number;
  /** [1, S, D] without guidance; with it [2, S, D]: the negative prompt's, then the prompt's. */
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
  /** SDXL's vector [copies, adm], to be written before the first step; undefined for other families. */
  readonly vector: Tensor | undefined;
  readonly prepared: Capture<Conditioning>;
  readonly step: Capture<Tensor>;
  readonly #options: DenoiserOptions;
  readonly #device: Device;
  readonly #copies: number;
  readonly #input: Tensor;
  readonly #time: Tensor;
  #result: Tensor | undefined;

  constructor(options: DenoiserOptions) {
    const { unet, context, height, width, nonFinite } = options;
    const device = context.device;
    const storage = options.storage ?? device.storage;
    this.#options = options;
    this.#device = device;
    this.#copies = context.shape[0]!;
    this.#input = device.empty([this.#copies, height, width, unet.config.outChannels], storage, "U-Net input");
    this.#time = device.empty([this.#copies, unet.config.modelChannels], storage, "timestep embedding");
    const { admChannels } = unet.config;
    this.vector = admChannels === undefined ? undefined : device.empty([this.#copies, admChannels], storage, "size vector");
    this.prepared = device.capture(() => unet.prepare(context.dtype === storage ? context : cast(context, storage)));
    this.step = device.capture(() => {
      const out = unet.forward(this.#input, this.#time, this.prepared.result, this.vector); // [copies, H, W, 4]
      countNonFinite(out, nonFinite);
      return out;
    });
  }

  /** Pipelines compiled, bind groups built. */
  async ready(): Promise<void> {
    await Promise.all([this.prepared.ready(), this.step.ready()]);
  }

  /** To be called when `context` has new contents. */
  prepare(): void {
    this.prepared.run();
  }

  denoise(x: Tensor, sigma: number): Tensor {
    const { prediction, schedule } = this.#options;
    const [ofX, ofOutput] = denoisedFrom(prediction, sigma);
    return this.#predict(x, inputScale(sigma), schedule.sigmaToTimestep(sigma), ofX, ofOutput);
  }

  eps(x: Tensor, timestep: number): Tensor {
    const { prediction, schedule } = this.#options;
    const [ofX, ofOutput] = epsFrom(prediction, schedule.alphaBar[timestep]!);
    return this.#predict(x, 1, timestep, ofX, ofOutput);
  }

  free(): void {
    this.#result?.free();
    this.#input.free();
    this.#time.free();
    this.vector?.free();
    this.step.dispose();
    this.prepared.dispose();
  }

  /** ofX x + ofOutput out, where out is the guided output of the U-Net for the input `scale` x at `timestep`. x [1, H, W, 4] f32. */
  #predict(x: Tensor, scale: number, timestep: number, ofX: number, ofOutput: number): Tensor {
    const copies = this.#copies;
    this.#device.write(
      this.#time,
      timestepEmbedding(Array<number>(copies).fill(timestep), this.#options.unet.config.modelChannels),
    );
    modelInput(x, { factor: scale, copies, into: this.#input });
    this.step.run();
    this.#result?.free();
    this.#result = this.#device.scope(() => {
      const out = this.step.result; //                                             [copies, H, W, 4]
      const guided = copies === 2 ? guidance(out, this.guidance) : cast(out, "f32"); // [1, H, W, 4]
      return combine([
        [ofX, x],
        [ofOutput, guided],
      ]);
    });
    return this.#result;
  }
}
