/** @file The recorded work of one picture size: text encoder, U-Net and decoder, each captured once and replayed for every picture. */
import { type Device, NonFiniteError, Slots, type Tensor } from "../engine/index.ts";
import type { ModelConfig } from "./checkpoint/config.ts";
import { UNetDenoiser } from "./denoiser/denoiser.ts";
import type { Size } from "./image/index.ts";
import { goingRound } from "./layers.ts";
import type { Residency, WithWeights } from "./residency.ts";
import type { NoiseSchedule } from "./sampling/index.ts";
import type { TextEncoder } from "./text/text-encoder.ts";
import { TextStage } from "./text/text-stage.ts";
import type { UNet } from "./unet/unet.ts";
import { DecodeStage } from "./vae/decode-stage.ts";
import type { VaeDecoder } from "./vae/decoder.ts";
import { EncodeStage } from "./vae/encode-stage.ts";
import type { VaeEncoder } from "./vae/encoder.ts";
import { tilingOf } from "./vae/tiles.ts";

/** Latents that a sampler and the guidance around it hold at once, usually. */
const samplerLatents = 16;

export interface Modules {
  readonly text: readonly TextEncoder[];
  readonly unet: UNet;
  readonly decoder: VaeDecoder;
}

export interface StageSize {
  /** Size of the picture in pixels. */
  readonly width: number;
  readonly height: number;
  /** Parts of the prompt that the negative prompt is set against; 0: no classifier-free guidance. */
  readonly guidedParts: number;
  /** Rows of the context: 77 for each chunk of 75 tokens. */
  readonly contextRows: number;
  /** The maps of U-Net and VAE go round. */
  readonly tiling?: boolean | undefined;
  /** Side of the tiles that the VAE works in, in pixels. Undefined: only where the whole does not fit. */
  readonly vaeTile?: number | undefined;
  /** See TextStageOptions. */
  readonly clipSkip?: number | undefined;
}

export const stageNames = ["text", "unet", "vae"] as const;
export type StageName = (typeof stageNames)[number];
export const stageWords: Readonly<Record<StageName, string>> = { text: "text encoder", unet: "U-Net", vae: "VAE" };

/** dtype of each stage's activations: the device's storage, or f32 where f16 overflowed. */
export type StageStorage = Readonly<Record<StageName, "f32" | "f16">>;

/** What the stages need to know of the model. */
export interface StageModel {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly schedule: NoiseSchedule;
  /** Where text encoder and VAE leave the GPU while they have nothing to do. */
  readonly residency?: Pick<Residency, "of"> | undefined;
}

export class Stages {
  readonly size: StageSize;
  /** NaN and infinity seen so far, u32 [1]. */
  readonly nonFinite: Tensor;
  readonly text: TextStage;
  /** [copies, S, D]: what the U-Net's cross-attention sees. */
  readonly context: Tensor;
  readonly denoiser: UNetDenoiser;
  readonly decode: DecodeStage;
  /** Where the latents of a sampler's run lie, f32 [1, H/8, W/8, 4] each. */
  readonly latents: Slots;
  readonly #storage: StageStorage;
  readonly #factor: number;
  readonly #withVae: WithWeights | undefined;
  #encode: EncodeStage | undefined;

  constructor({ device, config, schedule, residency }: StageModel, modules: Modules, size: StageSize, storage: StageStorage) {
    this.size = size;
    this.#storage = storage;
    const { factor, zChannels } = config.vae;
    this.#factor = factor;
    this.#withVae = residency?.of("vae");
    const [height, width] = [size.height / factor, size.width / factor];
    this.nonFinite = device.upload(new Uint32Array(1), [1], "u32", "finite-check");
    this.latents = new Slots(device, [1, height, width, zChannels], "f32", samplerLatents);
    const copies = promptCopies(config, size.guidedParts);
    this.text = new TextStage(modules.text, {
      batch: Math.min(copies, 2), // usually the negative prompt and the prompt
      clipSkip: size.clipSkip,
      storage: storage.text,
      nonFinite: this.nonFinite,
      withWeights: residency?.of("text"),
    });
    this.context = device.empty([copies, size.contextRows, config.unet.contextDim], storage.unet, "context");
    const denoiser = {
      unet: modules.unet,
      prediction: config.prediction,
      variant: config.variant,
      schedule,
      height,
      width,
      context: this.context,
      storage: storage.unet,
      nonFinite: this.nonFinite,
    };
    const round = size.tiling === true;
    this.denoiser = goingRound(round, () => new UNetDenoiser(denoiser));
    const { width: w, height: h, vaeTile } = size;
    const tiling = vaeTile === undefined ? undefined : tilingOf(vaeTile);
    this.decode = new DecodeStage(modules.decoder, {
      ...{ width: w, height: h, tiling, round },
      ...{ config: config.vae, storage: storage.vae, nonFinite: this.nonFinite, withWeights: this.#withVae },
    });
  }

  /** The VAE's encoder for this size; recorded when it is first asked for. */
  encode(encoder: VaeEncoder): EncodeStage {
    this.#encode ??= this.newEncode(encoder, this.size);
    return this.#encode;
  }

  /** The encoder for another size; the caller's. */
  newEncode(encoder: VaeEncoder, { width, height }: Size): EncodeStage {
    const { vaeTile } = this.size;
    const tiling = vaeTile === undefined ? undefined : tilingOf(vaeTile);
    const options = {
      width,
      height,
      factor: this.#factor,
      tiling,
      storage: this.#storage.vae,
      nonFinite: this.nonFinite,
      withWeights: this.#withVae,
    };
    const round = this.size.tiling === true;
    return this.nonFinite.device.allOrNothing(() => new EncodeStage(encoder, { ...options, round }));
  }

  /** Throws a NonFiniteError if anything computed so far was NaN or infinite; `stage` and `step` are where it was noticed. */
  async expectFinite(stage: StageName, step?: number): Promise<void> {
    const [found] = await this.nonFinite.readU32();
    if (!found) return;
    const where = `${stageWords[stage]}${step === undefined ? "" : ` at step ${step}`}`;
    throw new NonFiniteError("NON_FINITE", `${found} values that the ${where} gave are NaN or infinite`, {
      hint:
        this.#storage[stage] === "f16"
          ? "run with --precision f32"
          : "the checkpoint may be damaged: compare its hash with the source",
      context: { stage, step, found },
    });
  }

  /** A latent of a sampler's run [1, H/8, W/8, 4]; the caller's. */
  newLatent(values: Float32Array): Tensor {
    const { device } = this.nonFinite;
    const latent = this.latents.take("latent") ?? device.empty(this.latents.shape, "f32", "latent");
    device.write(latent, values);
    return latent;
  }

  /** Forgets what an earlier picture left in the counter. */
  resetFiniteCheck(): void {
    this.nonFinite.device.write(this.nonFinite, new Uint32Array(1));
  }

  fits(size: StageSize): boolean {
    const names = ["width", "height", "guidedParts", "contextRows", "clipSkip", "tiling", "vaeTile"] as const;
    return names.every((name) => (size[name] ?? false) === (this.size[name] ?? false));
  }

  /** Every pipeline compiled. */
  async compiled(): Promise<void> {
    const { prepared, step } = this.denoiser;
    await Promise.all([this.text.encode, prepared, step, ...this.decode.captures].map((capture) => capture.compiled()));
  }

  /** The same, and every bind group built. */
  async ready(): Promise<void> {
    await Promise.all([this.text.encode.ready(), this.denoiser.ready(), this.decode.ready()]);
  }

  /** Bytes of what is written from outside, and of a run's latents: in their slots, and at most as many again outside. */
  get inputBytes(): number {
    const inputs = [this.context, this.nonFinite, this.latents.whole, this.latents.whole, ...this.text.embedded];
    inputs.push(...this.denoiser.inputs, ...this.decode.inputs, ...(this.#encode?.inputs ?? []));
    return inputs.reduce((sum, { allocation }) => sum + allocation.buffer.bytes, 0);
  }

  free(): void {
    this.#encode?.free();
    this.decode.free();
    this.denoiser.free();
    this.text.free();
    for (const tensor of [this.context, this.latents, this.nonFinite]) tensor.free();
  }
}

/** The U-Net's batch: with guidance the negative prompt and the prompt's parts; pix2pix also tells the picture's part from the prompt's. */
export function promptCopies({ variant, unet }: Pick<ModelConfig, "variant" | "unet">, guidedParts: number): number {
  if (unet.guidanceDim !== undefined) return 1; // it takes the guidance scale as an input
  if (variant === "pix2pix") return 3;
  return 1 + guidedParts;
}

/** Which of negative prompt and prompt's parts each copy of the batch is told. */
export function arranged<T>(config: Pick<ModelConfig, "variant" | "unet">, negative: T | undefined, parts: readonly T[]): T[] {
  if (negative === undefined || config.unet.guidanceDim !== undefined) return parts.slice(0, 1);
  return config.variant === "pix2pix" ? [negative, negative, ...parts] : [negative, ...parts];
}
