import type { Tensor } from "../../engine/index.ts";
import { matmul } from "../../kernels/index.ts";
import type { TextConfig } from "../checkpoint/config.ts";
import type { RowReader, Weights } from "../checkpoint/weights.ts";
import { LayerNorm } from "../layers.ts";
import { TextLayer } from "./text-layer.ts";

/** Vectors [n * C] for the tokens from `offset` on. */
export interface ReplacedTokens {
  readonly sequence: number;
  readonly offset: number;
  readonly vectors: Float32Array;
}

/** The text transformer of CLIP (Radford et al. 2021), under Hugging Face's names (SD 1, SDXL) or OpenCLIP's (SD 2, SDXL). */
export class TextEncoder {
  readonly config: TextConfig;
  readonly tokens: RowReader; //    embeddings.token_embedding.weight      | token_embedding.weight   [vocabulary, C], read by row
  readonly positions: RowReader; // embeddings.position_embedding.weight   | positional_embedding     [77, C]
  readonly layers: readonly TextLayer[]; // encoder.layers                 | transformer.resblocks
  readonly finalNorm: LayerNorm; // final_layer_norm                       | ln_final
  readonly projection: Tensor | undefined; //                                text_projection          [C, C]

  constructor(weights: Weights, config: TextConfig) {
    const clip = config.kind === "clip";
    this.config = config;
    this.tokens = weights.rows(clip ? "embeddings.token_embedding.weight" : "token_embedding.weight");
    this.positions = weights.rows(clip ? "embeddings.position_embedding.weight" : "positional_embedding");
    const layers = weights.at(clip ? "encoder.layers" : "transformer.resblocks");
    this.layers = Array.from({ length: config.layers }, (_, i) => new TextLayer(layers.at(`${i}`), config));
    this.finalNorm = new LayerNorm(weights.at(clip ? "final_layer_norm" : "ln_final"));
    // Hugging Face has it as [out, in], OpenCLIP as [in, out].
    const project = () => (clip ? weights.linear("text_projection.weight") : weights.matrix("text_projection"));
    this.projection = config.pooled ? project() : undefined;
  }

  /**
   * Token plus position embedding of P sequences of T ids, looked up on the CPU: the table of a full-size checkpoint is larger
   * than a binding may be. ids [P][T] -> [P * T * C] numbers. `replaced` puts other vectors [n * C] in the place of the tokens'
   * from `offset` of a sequence on (textual inversion).
   */
  async embed(ids: readonly ArrayLike<number>[], replaced: readonly ReplacedTokens[] = []): Promise<Float32Array> {
    const width = this.config.width;
    const length = ids[0]?.length ?? 0;
    const positions = await this.positions.read(Array.from({ length }, (_, t) => t));
    const embedded = new Float32Array(ids.length * length * width);
    for (const [p, sequence] of ids.entries()) {
      const rows = await this.tokens.read(Array.from(sequence));
      for (const { sequence: at, offset, vectors } of replaced) if (at === p) rows.set(vectors, offset * width);
      for (let i = 0; i < rows.length; i++) embedded[p * length * width + i] = rows[i]! + positions[i]!;
    }
    return embedded;
  }

  /** x [P, T, C] (embedded) -> the input of every layer and, last, the output of the last one. */
  hiddenStates(x: Tensor): Tensor[] {
    return x.device.scope(() => {
      const hidden = [x];
      for (const layer of this.layers) hidden.push(layer.forward(hidden.at(-1)!));
      return hidden;
    });
  }

  /**
   * hidden (of `hiddenStates`) -> context [P, T, C], as the family takes it: the output of the last layer or of the one before,
   * normed or not. `skip` counts layers from the end ("CLIP skip").
   */
  context(hidden: readonly Tensor[], skip = this.config.output === "last" ? 1 : 2): Tensor {
    const state = hidden.at(-skip)!;
    return this.config.finalNorm ? this.finalNorm.forward(state) : state;
  }

  /** last [P, T, C] (output of the last layer) -> projected [P, T, C]; the pooled vector is the row of the end marker (SDXL). */
  pooled(last: Tensor): Tensor {
    return last.device.scope(() => matmul(this.finalNorm.forward(last), this.projection!));
  }
}
