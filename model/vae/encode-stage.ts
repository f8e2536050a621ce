/** @file Pictures to latents: the VAE's encoder, recorded once for a size and replayed. */
import type { Capture, Tensor } from "../../engine/index.ts";
import { countNonFinite, modelInput } from "../../kernels/index.ts";
import type { Raster } from "../image/index.ts";
import type { VaeEncoder } from "./encoder.ts";

export interface EncodeStageOptions {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** dtype of the activations. */
  readonly storage: "f32" | "f16";
  /** u32 [1], counts NaN and infinity in the moments. */
  readonly nonFinite: Tensor;
}

export class EncodeStage {
  readonly moments: Capture<Tensor>;
  readonly #image: Tensor;

  constructor(encoder: VaeEncoder, { width, height, storage, nonFinite }: EncodeStageOptions) {
    const { device } = nonFinite;
    this.#image = device.empty([1, height, width, 4], "f32", "image");
    this.moments = device.capture(() =>
      device.scope(() => {
        const moments = encoder.forward(modelInput(this.#image, { dtype: storage })); // [1, H/8, W/8, 8]
        countNonFinite(moments, nonFinite);
        return moments;
      }),
    );
  }

  /** RGB -> the mean of its posterior [1, H/8, W/8, 4], without the scale factor. Pixels for which `keep` is false become middle grey. */
  async run(image: Raster, keep?: (pixel: number) => boolean): Promise<Float32Array> {
    const pixels = image.width * image.height;
    const values = new Float32Array(4 * pixels);
    for (let p = 0; p < pixels; p++) {
      if (keep && !keep(p)) continue;
      for (let c = 0; c < 3; c++) values[4 * p + c] = image.data[3 * p + c]! / 127.5 - 1;
    }
    this.#image.device.write(this.#image, values);
    await this.moments.ready();
    this.moments.run();
    const moments = await this.moments.result.read();
    const channels = this.moments.result.shape.at(-1)!;
    const half = channels / 2; // mean, then logvar
    return Float32Array.from({ length: moments.length / 2 }, (_, i) => moments[Math.floor(i / half) * channels + (i % half)]!);
  }

  free(): void {
    this.moments.dispose();
    this.#image.free();
  }
}
