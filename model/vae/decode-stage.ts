/** @file Latents to pictures: the VAE's decoder, recorded once for a size and replayed; in tiles where the whole map is too much. */
import type { Capture, Device, Tensor } from "../../engine/index.ts";
import { cast, countNonFinite, modelInput, toPixels } from "../../kernels/index.ts";
import type { VaeConfig } from "../checkpoint/config.ts";
import type { Size } from "../image/index.ts";
import { goingRound } from "../layers.ts";
import { resident, type WithWeights } from "../residency.ts";
import type { VaeDecoder } from "./decoder.ts";
import { withMargin, withoutMargin } from "./round-map.ts";
import { fallbackTilings, isTooLarge, TileBlend, tilesOf, type VaeTiling } from "./tiles.ts";

export interface DecodeStageOptions extends Size {
  readonly config: VaeConfig;
  /** dtype of the activations. */
  readonly storage: "f32" | "f16";
  /** u32 [1], counts NaN and infinity in the picture. */
  readonly nonFinite: Tensor;
  /** Decode in tiles; undefined: only where the whole is more than the adapter's buffers can hold. */
  readonly tiling?: VaeTiling | undefined;
  /** The maps go round. */
  readonly round?: boolean;
  /** Default: the weights stay. */
  readonly withWeights?: WithWeights | undefined;
}

/** The decoder recorded for one size of latent. */
interface Recording {
  /** f32 [1, h, w, 4] */
  readonly latent: Tensor;
  /** RGBA bytes u32 [1, 8h, 8w], or in tiles RGB and a channel of padding f32 [1, 8h, 8w, 4]. */
  readonly picture: Capture<Tensor>;
}

export class DecodeStage {
  readonly #decoder: VaeDecoder;
  readonly #options: DecodeStageOptions;
  readonly #device: Device;
  readonly #tiling: VaeTiling | undefined;
  /** By size: tiles at the right and the lower edge may be smaller. */
  readonly #recordings = new Map<string, Recording>();

  constructor(decoder: VaeDecoder, options: DecodeStageOptions) {
    this.#decoder = decoder;
    this.#options = options;
    this.#device = options.nonFinite.device;
    this.#tiling = this.#record(options.tiling && isLarger(options, options.tiling) ? options.tiling : undefined);
  }

  /** For each size that is decoded. */
  get captures(): readonly Capture<Tensor>[] {
    return [...this.#recordings.values()].map(({ picture }) => picture);
  }

  get inputs(): readonly Tensor[] {
    return [...this.#recordings.values()].map(({ latent }) => latent);
  }

  /** Side of a tile in pixels; undefined where the picture is decoded as a whole. */
  get tile(): number | undefined {
    return this.#tiling?.tile;
  }

  /** Tiles of a picture: 1 where it is decoded as a whole. */
  get tiles(): number {
    return this.#tiling ? tilesOf(this.#map(this.#tiling), this.#tiling).length : 1;
  }

  async ready(): Promise<void> {
    await Promise.all(this.captures.map((capture) => capture.ready()));
  }

  /** latent f32 [1, H/8, W/8, 4] in the U-Net's scale -> RGBA bytes [H, W, 4]. */
  async run(latent: Tensor): Promise<Uint8Array> {
    const { withWeights = resident } = this.#options;
    return withWeights(() => this.#run(latent));
  }

  async #run(latent: Tensor): Promise<Uint8Array> {
    if (this.#tiling) return this.#runTiles(latent, this.#tiling);
    const [whole] = this.#recordings.values();
    this.#device.copy(latent, whole!.latent);
    whole!.picture.run();
    return new Uint8Array((await whole!.picture.result.readU32()).buffer);
  }

  free(): void {
    for (const { latent, picture } of this.#recordings.values()) {
      picture.dispose();
      latent.free();
    }
    this.#recordings.clear();
  }

  /** Records the whole, or its tiles where it is larger than the adapter allows. */
  #record(tiling: VaeTiling | undefined): VaeTiling | undefined {
    let tooLarge: unknown;
    for (const chosen of tiling ? [tiling] : [undefined, ...fallbackTilings(this.#options)]) {
      try {
        this.#recordTiles(chosen);
        return chosen;
      } catch (error) {
        this.free();
        if (!isTooLarge(error)) throw error;
        tooLarge = error;
      }
    }
    throw tooLarge;
  }

  #recordTiles(tiling: VaeTiling | undefined): void {
    const { config } = this.#options;
    const tiles = tiling ? tilesOf(this.#map(tiling), tiling) : [this.#options];
    for (const { width, height } of tiles) this.#add({ width: width / config.factor, height: height / config.factor }, !tiling);
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
    const { config, storage, nonFinite, round = false } = this.#options;
    const recording = this.#device.allOrNothing(() => {
      const latent = this.#device.empty([1, height, width, config.zChannels], "f32", "latent");
      const picture = goingRound(round && whole, () =>
        this.#device.capture(() =>
          this.#device.scope(() => {
            const z = modelInput(latent, { factor: 1 / config.scaleFactor, dtype: storage }); // [1, h, w, 4]
            const image = this.#decoder.forward(z); //                                             [1, 8h, 8w, 4]
            countNonFinite(image, nonFinite);
            return whole ? toPixels(image) : image.dtype === "f32" ? image : cast(image, "f32");
          }),
        ),
      );
      return { latent, picture };
    });
    this.#recordings.set(key, recording);
  }

  /** Tile by tile; the CPU puts them together, as the GPU may have no room for the whole. */
  async #runTiles(latent: Tensor, tiling: VaeTiling): Promise<Uint8Array> {
    const { config, width, height } = this.#options;
    const { factor, zChannels } = config;
    const [map, margin] = [this.#map(tiling), this.#margin(tiling)];
    const values = withMargin(await latent.read(), { width: width / factor, height: height / factor }, margin / factor);
    const blend = new TileBlend(map, 3, tiling.overlap);
    for (const tile of tilesOf(map, tiling)) {
      const part = { width: tile.width / factor, height: tile.height / factor };
      const recording = this.#recordings.get(`${part.width}x${part.height}`)!;
      const cut = new Float32Array(part.width * part.height * zChannels);
      for (let y = 0; y < part.height; y++) {
        const begin = ((tile.top / factor + y) * (map.width / factor) + tile.left / factor) * zChannels;
        cut.set(values.subarray(begin, begin + part.width * zChannels), y * part.width * zChannels);
      }
      this.#device.write(recording.latent, cut);
      recording.picture.run();
      blend.add(await recording.picture.result.read(), tile);
    }
    return bytesOf(withoutMargin(blend.result(), { width, height }, margin));
  }
}

/** RGB in [-1, 1] -> RGBA bytes, as the kernel toPixels has it, which rounds halves to even. */
function bytesOf(rgb: Float32Array): Uint8Array {
  const bytes = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  for (let p = 0; p < rgb.length / 3; p++)
    for (let c = 0; c < 3; c++) bytes[4 * p + c] = (Math.max(-1, Math.min(1, rgb[3 * p + c]!)) + 1) * 127.5;
  return new Uint8Array(bytes.buffer);
}

/** Whether a picture has more than one tile. */
function isLarger({ width, height }: Size, { tile }: VaeTiling): boolean {
  return Math.max(width, height) > tile;
}
