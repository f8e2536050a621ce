/** @file Tensors of the text encoders: CLIP under Hugging Face's names, OpenCLIP under its own. */
import type { TensorList } from "./stand-in-tensors.ts";

const vocabulary = 49_408;
const positions = 77;

export interface TextSizes {
  readonly width: number;
  readonly layers: number;
}

/** `list` at `...transformer.text_model`. */
export function listClip(list: TensorList, { width, layers }: TextSizes): void {
  list.add("embeddings.position_ids", [1, positions], "positions");
  list.add("embeddings.token_embedding.weight", [vocabulary, width], "embedding");
  list.add("embeddings.position_embedding.weight", [positions, width], "embedding");
  for (let n = 0; n < layers; n++) {
    const layer = list.at(`encoder.layers.${n}`);
    for (const name of ["q_proj", "k_proj", "v_proj"]) layer.linear(`self_attn.${name}`, width, width);
    layer.linear("self_attn.out_proj", width, width, "branch");
    layer.norm("layer_norm1", width);
    layer.norm("layer_norm2", width);
    layer.linear("mlp.fc1", width, 4 * width);
    layer.linear("mlp.fc2", 4 * width, width, "branch");
  }
  list.norm("final_layer_norm", width);
}

/** `list` at `...model`. */
export function listOpenClip(list: TensorList, { width, layers }: TextSizes): void {
  list.add("token_embedding.weight", [vocabulary, width], "embedding");
  list.add("positional_embedding", [positions, width], "embedding");
  list.add("text_projection", [width, width], "matrix");
  list.add("logit_scale", [], "logitScale");
  for (let n = 0; n < layers; n++) {
    const layer = list.at(`transformer.resblocks.${n}`);
    layer.add("attn.in_proj_weight", [3 * width, width], "matrix");
    layer.add("attn.in_proj_bias", [3 * width], "bias");
    layer.linear("attn.out_proj", width, width, "branch");
    layer.norm("ln_1", width);
    layer.norm("ln_2", width);
    layer.linear("mlp.c_fc", width, 4 * width);
    layer.linear("mlp.c_proj", 4 * width, width, "branch");
  }
  list.norm("ln_final", width);
}
