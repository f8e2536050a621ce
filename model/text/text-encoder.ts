import type { Device, Tensor } from "../../engine/index.ts";
import { attention } from "../../kernels/index.ts";
import type { TextConfig } from "../checkpoint/config.ts";
import type { RowReader, Weights } from "../checkpoint/weights.ts";
import { type Activation, FusedLinear, LayerNorm, Linear } from "../layers.ts";

/** norm -> causal self-attention, norm -> MLP, each with its residual. Source: `CLIPEncoderLayer` (transformers). */
class TextLayer {
  readonly norm1: LayerNorm; //  layer_norm1
  readonly qkv: FusedLinear; //  self_attn.q_proj | k_proj | v_proj
  readonly out: Linear; //       self_attn.out_proj
  readonly norm2: LayerNorm; //  layer_norm2
  readonly expand: Linear; //    mlp.fc1
  readonly contract: Linear; //  mlp.fc2
  readonly heads: number;
  readonly activation: Activation;

  constructor(weights: Weights, heads: number, activation: Activation) {
    this.norm1 = new LayerNorm(weights.at("layer_norm1"));
    this.qkv = new FusedLinear(weights.at("self_attn"), ["q_proj", "k_proj", "v_proj"]);
    this.out = new Linear(weights.at("self_attn.out_proj"));
    this.norm2 = new LayerNorm(weights.at("layer_norm2"));
    this.expand = new Linear(weights.at("mlp.fc1"));
    this.contract = new Linear(weights.at("mlp.fc2"));
    this.heads = heads;
    this.activation = activation;
  }

  /** x [P, T, C] -> [P, T, C] */
  forward(x: Tensor): Tensor {
    const width = x.shape.at(-1)!;
    return x.device.scope(() => {
      const qkv = this.qkv.forward(this.norm1.forward(x)); //                        [P, T, 3C]
      const columns = { q: 0, k: width, v: 2 * width };
      const h = attention(qkv, qkv, qkv, { heads: this.heads, headDim: width / this.heads, causal: true, columns });
      const attended = this.out.forward(h, { residual: x }); //                      [P, T, C]
      const hidden = this.expand.forward(this.norm2.forward(attended), { activation: this.activation }); // [P, T, 4C]
      return this.contract.forward(hidden, { residual: attended }); //               [P, T, C]
    });
  }
}

/** CLIP's text transformer (Radford et al. 2021) under Hugging Face's names, as SD 1 checkpoints carry it. */
export class ClipTextEncoder {
  readonly config: TextConfig;
  readonly tokens: RowReader; //       embeddings.token_embedding.weight [vocabulary, C], read by row
  readonly positions: RowReader; //    embeddings.position_embedding.weight [77, C]
  readonly layers: readonly TextLayer[]; // encoder.layers
  readonly finalNorm: LayerNorm; //    final_layer_norm

  constructor(weights: Weights, config: TextConfig) {
    this.config = config;
    this.tokens = weights.rows("embeddings.token_embedding.weight");
    this.positions = weights.rows("embeddings.position_embedding.weight");
    this.layers = Array.from(
      { length: config.layers },
      (_, i) => new TextLayer(weights.at(`encoder.layers.${i}`), config.heads, config.activation),
    );
    this.finalNorm = new LayerNorm(weights.at("final_layer_norm"));
  }

  /**
   * Token plus position embedding of P sequences of T ids, looked up on the CPU: the table of a full-size checkpoint is larger
   * than a binding may be. ids [P][T] -> [P * T * C] numbers.
   */
  async embed(ids: readonly ArrayLike<number>[]): Promise<Float32Array> {
    const width = this.config.width;
    const length = ids[0]?.length ?? 0;
    const positions = await this.positions.read(Array.from({ length }, (_, t) => t));
    const embedded = new Float32Array(ids.length * length * width);
    for (const [p, sequence] of ids.entries()) {
      const rows = await this.tokens.read(Array.from(sequence));
      for (let i = 0; i < rows.length; i++) embedded[p * length * width + i] = rows[i]! + positions[i]!;
    }
    return embedded;
  }

  /** x [P, T, C] (embedded) -> the input of every layer and, last, the output of the last one */
  hiddenStates(x: Tensor): Tensor[] {
    return x.device.scope(() => {
      const hidden = [x];
      for (const layer of this.layers) hidden.push(layer.forward(hidden.at(-1)!));
      return hidden;
    });
  }

  /** x [P, T, C] (embedded) -> context [P, T, C]: the last layer's output, or that of `skip - 1` layers before it, normed. */
  forward(x: Tensor, skip = 1): Tensor {
    return x.device.scope(() => this.finalNorm.forward(this.hiddenStates(x).at(-skip)!));
  }

  /** An f32 or f16 tensor on `device` for `embedded` numbers. */
  upload(device: Device, embedded: Float32Array, sequences: number): Tensor {
    return device.upload(
      embedded,
      [sequences, embedded.length / sequences / this.config.width, this.config.width],
      device.storage,
      "text embedding",
    );
  }
}
