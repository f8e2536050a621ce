/** @file Pictures to latents: the VAE's encoder, recorded once for a size and replayed; in tiles where it is asked to. */
import type { Capture, Device, Tensor } from "../../engine/index.ts";
import { countNonFinite, modelInput } from "../../kernels/index.ts";
import type { Raster, Size } from "../image/index.ts";
import { goingRound } from "../layers.ts";
import { resident, type WithWeights } from "../residency.ts";
import type { VaeEncoder } from "./encoder.ts";
import { placeWithin, withMargin, withoutMargin } from "./round-map.ts";
import { fallbackTilings, isTooLarge, type Tile, TileBlend, tilesOf, type VaeTiling } from "./tiles.ts";

export interface EncodeStageOptions extends Size {
  /** Pixels to a cell of the latent, along each side. */
  readonly factor: number;
  /** dtype of the activations. */
  readonly storage: "f32" | "f16";
  /** u32 [1], counts NaN and infinity in the moments. */
  readonly nonFinite: Tensor;
  /** Encode in tiles; undefined: only where the whole is more than the adapter's buffers can hold. */
  readonly tiling?: VaeTiling | undefined;
  /** The maps go round. */
  readonly round?: boolean;
  /** Default: the weights stay. */
  readonly withWeights?: WithWeights | undefined;
}

/** The encoder recorded for one size of picture. */
interface Recording {
  /** f32 [1, h, w, 4] */
  readonly image: Tensor;
  /** [1, h/8, w/8, 8]: mean, then logvar */
  readonly moments: Capture<Tensor>;
}

export class EncodeStage {
  readonly #encoder: VaeEncoder;
  readonly #options: EncodeStageOptions;
  readonly #device: Device;
  readonly #tiling: VaeTiling;
  /** By size: tiles at the right and the lower edge may be smaller. */
  readonly #recordings = new Map<string, Recording>();

  constructor(encoder: VaeEncoder, options: EncodeStageOptions) {
    this.#encoder = encoder;
    this.#options = options;
    this.#device = options.nonFinite.device;
    this.#tiling = this.#record(options.tiling);
  }

  /** For each size that is encoded. */
  get captures(): readonly Capture<Tensor>[] {
    return [...this.#recordings.values()].map(({ moments }) => moments);
  }

  get inputs(): readonly Tensor[] {
    return [...this.#recordings.values()].map(({ image }) => image);
  }

  /** RGB -> the mean of its posterior [1, H/8, W/8, 4], without the scale factor. Pixels for which `keep` is false become middle grey. */
  async run(image: Raster, keep: (pixel: number) => boolean = () => true): Promise<Float32Array> {
    const { withWeights = resident } = this.#options;
    return withWeights(() => this.#run(image, keep));
  }

  async #run(image: Raster, keep: (pixel: number) => boolean): Promise<Float32Array> {
    const { factor, width, height } = this.#options;
    const cells = ({ left, top, width, height }: Tile): Tile => {
      return { left: left / factor, top: top / factor, width: width / factor, height: height / factor };
    };
    let blend: TileBlend | undefined;
    const margin = this.#margin(this.#tiling);
    const map = this.#map(this.#tiling);
    const around = { ...image, ...map, data: withMargin(image.data, { width, height }, margin) };
    const kept = (pixel: number) => keep(placeWithin(pixel, { width, height }, margin));
    const tiles = tilesOf(map, this.#tiling);
    for (const tile of tiles) {
      const { image: input, moments } = this.#recordings.get(`${tile.width}x${tile.height}`)!;
      this.#device.write(input, valuesOf(around, tile, kept));
      await moments.ready();
      moments.run();
      const mean = meanOf(await moments.result.read(), moments.result.shape.at(-1)!);
      if (tiles.length === 1) return mean;
      const channels = moments.result.shape.at(-1)! / 2;
      blend ??= new TileBlend(
        { width: map.width / factor, height: map.height / factor },
        channels,
        this.#tiling.overlap / factor,
      );
      blend.add(mean, cells(tile));
    }
    return withoutMargin(blend!.result(), { width: width / factor, height: height / factor }, margin / factor);
  }

  free(): void {
    for (const { image, moments } of this.#recordings.values()) {
      moments.dispose();
      image.free();
    }
    this.#recordings.clear();
  }

  /** Records the whole, or its tiles where it is larger than the adapter allows. Gives the tiles. */
  #record(tiling: VaeTiling | undefined): VaeTiling {
    const whole = { tile: Math.max(this.#options.width, this.#options.height), overlap: 0 };
    const wanted = tiling && whole.tile > tiling.tile ? tiling : whole;
    let tooLarge: unknown;
    for (const chosen of tiling ? [wanted] : [whole, ...fallbackTilings(this.#options)]) {
      try {
        for (const tile of tilesOf(this.#map(chosen), chosen)) this.#add(tile, chosen === whole);
        return chosen;
      } catch (error) {
        this.free();
        if (!isTooLarge(error)) throw error;
        tooLarge = error;
      }
    }
    throw tooLarge;
  }

  /** What is cut into tiles: the picture, with its opposite edges around it where it goes round. */
  #map(tiling: VaeTiling): Size {
    const margin = this.#margin(tiling);
    return { width: this.#options.width + 2 * margin, height: this.#options.height + 2 * margin };
  }

  #margin({ overlap }: VaeTiling): number {
    return this.#options.round ? overlap : 0;
  }

  #add({ width, height }: Size, whole: boolean): void {
    const key = `${width}x${height}`;
    if (this.#recordings.has(key)) return;
    const { storage, nonFinite, round = false } = this.#options;
    const recording = this.#device.allOrNothing(() => {
      const image = this.#device.empty([1, height, width, 4], "f32", "image");
      const moments = goingRound(round && whole, () =>
        this.#device.capture(() =>
          this.#device.scope(() => {
            const moments = this.#encoder.forward(modelInput(image, { dtype: storage })); // [1, h/8, w/8, 8]
            countNonFinite(moments, nonFinite);
            return moments;
          }),
        ),
      );
      return { image, moments };
    });
    this.#recordings.set(key, recording);
  }
}

/** A part of a picture as the encoder wants it, [1, height, width, 4] in [-1, 1]. */
function valuesOf({ width, data }: Raster, tile: Tile, keep: (pixel: number) => boolean): Float32Array {
  const values = new Float32Array(4 * tile.width * tile.height);
  for (let y = 0; y < tile.height; y++) {
    for (let x = 0; x < tile.width; x++) {
      const pixel = (tile.top + y) * width + tile.left + x;
      if (!keep(pixel)) continue;
      for (let c = 0; c < 3; c++) values[4 * (y * tile.width + x) + c] = data[3 * pixel + c]! / 127.5 - 1;
    }
  }
  return values;
}

/** The first half of each cell's channels. */
function meanOf(moments: Float32Array, channels: number): Float32Array {
  const half = channels / 2;
  return Float32Array.from({ length: moments.length / 2 }, (_, i) => moments[Math.floor(i / half) * channels + (i % half)]!);
}
