/** @file Prompts to context: every text encoder of a model, recorded once and replayed for every picture. */
import type { Capture, Tensor } from "../../engine/index.ts";
import { concat, countNonFinite } from "../../kernels/index.ts";
import type { ClipTokenizer } from "../../tokenizer/index.ts";
import { promptIds } from "../prompt.ts";
import type { TextEncoder } from "./text-encoder.ts";

interface Encoded {
  /** [P, 77, D]: what cross-attention sees; two encoders stand side by side in D. */
  readonly context: Tensor;
  /** [P, 77, C]: projected rows of the encoder whose end marker gives the pooled vector (SDXL). */
  readonly projected: Tensor | undefined;
}

export interface TextStageOptions {
  /** How many prompts there are at once. */
  readonly prompts: number;
  /** dtype of the activations. */
  readonly storage: "f32" | "f16";
  /** u32 [1], counts NaN and infinity in the context. */
  readonly nonFinite: Tensor;
}

export class TextStage {
  readonly encoders: readonly TextEncoder[];
  /** Token embeddings [P, 77, C], one for each encoder. */
  readonly embedded: readonly Tensor[];
  readonly encode: Capture<Encoded>;
  readonly #tokenizer: ClipTokenizer;
  #endMarkers: readonly number[] = [];

  constructor(encoders: readonly TextEncoder[], tokenizer: ClipTokenizer, { prompts, storage, nonFinite }: TextStageOptions) {
    const { device } = nonFinite;
    this.encoders = encoders;
    this.#tokenizer = tokenizer;
    this.embedded = encoders.map(({ config }) =>
      device.empty([prompts, config.positions, config.width], storage, "token embeddings"),
    );
    this.encode = device.capture(() => device.scope(() => this.#encode(nonFinite)));
  }

  /** Runs the encoders on `prompts`; says how many tokens of each did not fit. */
  async run(prompts: readonly string[]): Promise<{ cut: number[] }> {
    let cut: number[] = [];
    for (const [i, encoder] of this.encoders.entries()) {
      const sequences = prompts.map((prompt) => promptIds(this.#tokenizer, prompt, encoder.config)); // [P][77]
      const embedded = await encoder.embed(sequences.map(({ ids }) => ids));
      const target = this.embedded[i]!;
      target.device.write(target, embedded);
      cut = sequences.map((sequence) => sequence.cut);
      // The end marker is the largest id, and the first of them counts.
      if (encoder.config.pooled) this.#endMarkers = sequences.map(({ ids }) => ids.indexOf(Math.max(...ids)));
    }
    this.encode.run();
    return { cut };
  }

  /** The pooled vectors [P][C] of the last run, read back: the size vector is put together on the CPU. */
  async pooled(): Promise<Float32Array[]> {
    const { projected } = this.encode.result;
    if (!projected) return [];
    const [, length = 0, width = 0] = projected.shape;
    const rows = await projected.read();
    return this.#endMarkers.map((at, p) => rows.slice((p * length + at) * width, (p * length + at + 1) * width));
  }

  free(): void {
    this.encode.dispose();
    for (const tensor of this.embedded) tensor.free();
  }

  #encode(nonFinite: Tensor): Encoded {
    let projected: Tensor | undefined;
    const contexts = this.encoders.map((encoder, i) => {
      const hidden = encoder.hiddenStates(this.embedded[i]!); //                   [layers + 1] of [P, 77, C]
      if (encoder.projection) projected = encoder.pooled(hidden.at(-1)!); //       [P, 77, C]
      return encoder.context(hidden); //                                           [P, 77, C]
    });
    const context = contexts.reduce((left, right) => {
      const [p = 1, t = 1, c = 1] = left.shape;
      const d = right.shape.at(-1)!;
      return concat(left.reshape([p, 1, t, c]), right.reshape([p, 1, t, d])).reshape([p, t, c + d]);
    });
    countNonFinite(context, nonFinite);
    return { context, projected };
  }
}
