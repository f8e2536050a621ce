/** @file A network that makes pictures larger: read from a file, run tile by tile. */
import {
  type Capture,
  type Device,
  LimnError,
  NonFiniteError,
  OutOfMemoryError,
  type Tensor,
  UsageError,
} from "../../engine/index.ts";
import { cast } from "../../kernels/index.ts";
import { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { LoadOptions } from "../checkpoint/loader.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { blank, crop, type Raster, rgbOf } from "../image/index.ts";
import { networkPath, withPlainNames } from "./names.ts";
import { type ColourOrder, networkInput, networkOutput, shuffledOutput } from "./pixel-order.ts";
import { RrdbNet } from "./rrdb-net.ts";
import { SrvggNet } from "./srvgg-net.ts";
import { structureOf, type UpscalerStructure, unsupported } from "./structure.ts";
import {
  blankFloats,
  type FloatRaster,
  placeInRow,
  placeRow,
  type TileOptions,
  tileDefaults,
  tileLimits,
  tileStarts,
} from "./tiles.ts";

export interface UpscaleOptions extends Partial<TileOptions> {
  /** How the network takes colours. Networks are trained on "rgb" (default); the A1111 web UI hands them "bgr". */
  readonly order?: ColourOrder | undefined;
  readonly onTile?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Stage {
  /** f32, the network's input. */
  readonly input: Tensor;
  readonly run: Capture<Tensor>;
}

export class Upscaler {
  readonly structure: UpscalerStructure;
  readonly #checkpoint: Checkpoint;
  readonly #network: RrdbNet | SrvggNet;
  /** The recorded work for the size of tile that was asked for last. */
  #stage: Stage | undefined;

  private constructor(checkpoint: Checkpoint, structure: UpscalerStructure, network: RrdbNet | SrvggNet) {
    this.#checkpoint = checkpoint;
    this.structure = structure;
    this.#network = network;
  }

  /**
   * Reads an ESRGAN or Real-ESRGAN network (RRDBNet in three layouts, SRVGGNetCompact).
   * @throws ModelFileError UPSCALER_UNSUPPORTED, CHECKPOINT_SHAPE, and those of Checkpoint.build
   */
  static async load(file: SafetensorsFile, device: Device, options: LoadOptions = {}): Promise<Upscaler> {
    const path = networkPath(file.tensors);
    if (path === undefined) {
      throw unsupported(file, "none of its tensors has a name that ESRGAN uses", "give an ESRGAN or a Real-ESRGAN model");
    }
    const plain = withPlainNames(file, path);
    const structure = structureOf(plain);
    const checkpoint = new Checkpoint(plain, device, { family: structure.kind === "rrdb" ? "RRDBNet" : "SRVGGNetCompact" });
    try {
      const make = (weights: Weights) =>
        structure.kind === "rrdb" ? new RrdbNet(weights, structure) : new SrvggNet(weights, structure);
      return new Upscaler(checkpoint, structure, await checkpoint.build(make, options));
    } catch (error) {
      checkpoint.free();
      throw error;
    }
  }

  /** How many times as large a picture becomes, each way. */
  get scale(): number {
    return this.structure.scale;
  }

  /**
   * RGB (RGBA without its alpha) -> RGB, `scale` times as large.
   * @throws UsageError INVALID_TILE, INVALID_TILE_OVERLAP; OutOfMemoryError; NonFiniteError; the signal's reason when it is aborted
   */
  async upscale(picture: Raster, options: UpscaleOptions = {}): Promise<Raster> {
    const { scale } = this;
    const rgb = rgbOf(picture);
    const tiling = checkTiles(options);
    const [across, down] = [tileStarts(rgb.width, tiling), tileStarts(rgb.height, tiling)];
    const result = blank({ width: rgb.width * scale, height: rgb.height * scale }, 3);
    const total = across.starts.length * down.starts.length;
    let done = 0;
    for (const top of down.starts) {
      const row = blankFloats({ width: result.width, height: down.size * scale });
      for (const left of across.starts) {
        options.signal?.throwIfAborted();
        const box = { left, top, width: across.size, height: down.size };
        placeInRow(row, await this.#one(rgb, box, options.order ?? "rgb"), left * scale, tiling.overlap * scale);
        options.onTile?.(++done, total);
      }
      placeRow(result, row, top * scale, tiling.overlap * scale);
    }
    return result;
  }

  /** Gives all memory back. */
  free(): void {
    this.#dropStage();
    this.#checkpoint.free();
  }

  async #one(
    picture: Raster,
    box: { left: number; top: number; width: number; height: number },
    order: ColourOrder,
  ): Promise<FloatRaster> {
    const { values, shape } = networkInput(picture, box, this.structure.unshuffle, order);
    const { input, run } = this.#stageFor(shape);
    await run.ready();
    input.device.write(input, values);
    run.run();
    const made = await run.result.read();
    if (!made.every(Number.isFinite)) throw notFinite(input.device);
    const [, , width = 0, channels = 0] = run.result.shape;
    const { scale } = this;
    if (this.structure.kind === "srvgg") return shuffledOutput(made, channels, crop(picture, box), scale, order);
    return networkOutput(made, { width, channels }, { width: box.width * scale, height: box.height * scale }, order);
  }

  #stageFor(shape: readonly number[]): Stage {
    if (this.#stage && this.#stage.input.shape.join() !== shape.join()) this.#dropStage();
    const { device } = this.#checkpoint;
    try {
      this.#stage ??= device.allOrNothing(() => {
        const input = device.empty(shape, "f32", "tile");
        const run = device.capture(() => device.scope(() => cast(this.#network.forward(cast(input, device.storage)), "f32")));
        return { input, run };
      });
    } catch (error) {
      throw tooLarge(error);
    }
    return this.#stage;
  }

  #dropStage(): void {
    this.#stage?.run.dispose();
    this.#stage?.input.free();
    this.#stage = undefined;
  }
}

function checkTiles({ tile = tileDefaults.tile, overlap = tileDefaults.overlap }: Partial<TileOptions>): TileOptions {
  const { least, most } = tileLimits;
  if (!(Number.isInteger(tile) && tile >= least && tile <= most)) {
    throw new UsageError("INVALID_TILE", `tile: ${tile} is no whole number of pixels from ${least} to ${most}`, {
      hint: `${tileDefaults.tile} is usual`,
      context: { tile },
    });
  }
  if (!(Number.isInteger(overlap) && overlap >= 0 && overlap <= tile / 2)) {
    throw new UsageError(
      "INVALID_TILE_OVERLAP",
      `tile overlap: ${overlap} is no whole number of pixels from 0 to half a tile, ${tile / 2}`,
      {
        hint: `${tileDefaults.overlap} is usual`,
        context: { overlap, tile },
      },
    );
  }
  return { tile, overlap };
}

function notFinite(device: Device): NonFiniteError {
  return new NonFiniteError("NON_FINITE", "values that the upscaler gave are NaN or infinite", {
    hint: device.storage === "f16" ? "run with --precision f32" : "the model may be damaged: get it again",
  });
}

/** What the adapter has no room for, with the way out. */
function tooLarge(error: unknown): unknown {
  if (!(error instanceof LimnError) || !["BINDING_TOO_LARGE", "GPU_BUFFER_TOO_LARGE"].includes(error.code)) return error;
  return new OutOfMemoryError(error.code, `upscaler: ${error.message}`, {
    hint: `take a smaller --tile: ${tileDefaults.tile} is usual`,
    context: error.context,
    cause: error,
  });
}
