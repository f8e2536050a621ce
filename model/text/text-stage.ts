/** @file Chunks of a prompt to hidden states: every text encoder of a model, recorded once and replayed for every chunk. */
import type { Capture, Tensor } from "../../engine/index.ts";
import { countNonFinite } from "../../kernels/index.ts";
import type { Chunk } from "../../tokenizer/prompt/index.ts";
import { endToken } from "../../tokenizer/vocabulary.ts";
import type { TextConfig } from "../checkpoint/config.ts";
import { resident, type WithWeights } from "../residency.ts";
import type { EmbeddingSet } from "./embedding-set.ts";
import type { TextEncoder } from "./text-encoder.ts";

/** One chunk, encoded. Numbers are on the CPU: what is done with them is little, and prompts are kept. */
export interface EncodedChunk {
  /** [77, C] of each encoder. */
  readonly states: readonly Float32Array[];
  /** [C]: the projected row of the end marker, of the encoder that has a pooled vector (SDXL). */
  readonly pooled: Float32Array | undefined;
}

interface Recorded {
  /** [P, 77, C] of each encoder. */
  readonly states: readonly Tensor[];
  /** [P, 77, C] */
  readonly projected: Tensor | undefined;
}

export interface TextStageOptions {
  /** How many chunks are encoded at once. */
  readonly batch: number;
  /** Which hidden state counts, from the end (A1111's "Clip skip"): 1 is the last. Only CLIP of SD 1 listens. */
  readonly clipSkip?: number | undefined;
  /** dtype of the activations. */
  readonly storage: "f32" | "f16";
  /** u32 [1], counts NaN and infinity in the states. */
  readonly nonFinite: Tensor;
  /** Default: the weights stay. */
  readonly withWeights?: WithWeights | undefined;
}

export class TextStage {
  readonly encoders: readonly TextEncoder[];
  /** Token embeddings [P, 77, C], one for each encoder. */
  readonly embedded: readonly Tensor[];
  readonly encode: Capture<Recorded>;
  readonly #batch: number;
  readonly #withWeights: WithWeights;

  constructor(
    encoders: readonly TextEncoder[],
    { batch, clipSkip, storage, nonFinite, withWeights = resident }: TextStageOptions,
  ) {
    const { device } = nonFinite;
    this.encoders = encoders;
    this.#batch = batch;
    this.#withWeights = withWeights;
    this.embedded = encoders.map(({ config }) =>
      device.empty([batch, config.positions, config.width], storage, "token embeddings"),
    );
    const skip = encoders.length === 1 && encoders[0]!.config.output === "last" ? clipSkip : undefined;
    this.encode = device.capture(() => device.scope(() => this.#record(nonFinite, skip)));
  }

  /** Encodes chunks, in their order; textual inversions come from `embeddings`. */
  async run(chunks: readonly Chunk[], embeddings?: EmbeddingSet): Promise<EncodedChunk[]> {
    return chunks.length === 0 ? [] : this.#withWeights(() => this.#run(chunks, embeddings));
  }

  async #run(chunks: readonly Chunk[], embeddings: EmbeddingSet | undefined): Promise<EncodedChunk[]> {
    const encoded: EncodedChunk[] = [];
    for (let first = 0; first < chunks.length; first += this.#batch) {
      const group = chunks.slice(first, first + this.#batch);
      const full = Array.from({ length: this.#batch }, (_, p) => group[p] ?? group[0]!);
      for (const i of this.encoders.keys()) {
        const target = this.embedded[i]!;
        target.device.write(target, await embed(this.encoders, i, full, embeddings));
      }
      this.encode.run();
      encoded.push(...(await this.#read(full)).slice(0, group.length));
    }
    return encoded;
  }

  free(): void {
    this.encode.dispose();
    for (const tensor of this.embedded) tensor.free();
  }

  async #read(chunks: readonly Chunk[]): Promise<EncodedChunk[]> {
    const { states, projected } = this.encode.result;
    const [rows, values] = await Promise.all([projected?.read(), Promise.all(states.map((state) => state.read()))]);
    const length = states[0]!.shape[1]!;
    const width = projected?.shape[2] ?? 0;
    return chunks.map(({ ids }, p) => {
      // The end marker is the largest id, and the first of them counts.
      const row = p * length + ids.indexOf(endToken);
      return {
        states: values.map((all) => all.slice((p * all.length) / chunks.length, ((p + 1) * all.length) / chunks.length)),
        pooled: rows?.slice(row * width, (row + 1) * width),
      };
    });
  }

  #record(nonFinite: Tensor, skip: number | undefined): Recorded {
    let projected: Tensor | undefined;
    const states = this.encoders.map((encoder, i) => {
      const hidden = encoder.hiddenStates(this.embedded[i]!); //                   [layers + 1] of [P, 77, C]
      if (encoder.projection) projected = encoder.pooled(hidden.at(-1)!); //       [P, 77, C]
      const state = encoder.context(hidden, skip); //                              [P, 77, C]
      countNonFinite(state, nonFinite);
      return state;
    });
    return { states, projected };
  }
}

/** chunks [P] -> token plus position embeddings [P * 77 * C], with the vectors of textual inversions in their places. */
async function embed(
  encoders: readonly TextEncoder[],
  index: number,
  chunks: readonly Chunk[],
  embeddings: EmbeddingSet | undefined,
): Promise<Float32Array> {
  const widths = encoders.map(({ config }) => config.width);
  const encoder = encoders[index]!;
  const { config } = encoder;
  const replaced = await Promise.all(
    chunks.flatMap((chunk, sequence) =>
      chunk.embeddings.map(async ({ name, offset, vectors, first = 0 }) => {
        const all = await embeddings!.vectors(name, widths, index);
        const width = widths[index]!;
        return { sequence, offset, vectors: all.subarray(first * width, (first + vectors) * width) };
      }),
    ),
  );
  return encoder.embed(
    chunks.map((chunk) => idsFor(config, chunk)),
    replaced,
  );
}

/** CLIP pads with the end marker, which chunks have already; OpenCLIP with zeros. */
function idsFor({ padding }: Pick<TextConfig, "padding">, { ids }: Chunk): Uint32Array {
  if (padding === "end") return ids;
  const end = ids.indexOf(endToken);
  return ids.map((id, at) => (at <= end ? id : 0));
}
