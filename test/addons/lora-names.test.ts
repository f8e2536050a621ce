/** @file Names of modules in every spelling, for every family, at their true sizes: only headers are read. */
import { describe, expect, it } from "vitest";
import { splitName } from "../../model/addons/lora-parts.ts";
import { moduleNames, type Place } from "../../model/addons/module-names.ts";
import { unetAliases } from "../../model/addons/unet-aliases.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { unetNames } from "../../model/checkpoint/diffusers-names.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { type StandInFamily, standIn, standInFamilies } from "../../model/checkpoint/stand-in.ts";

async function open(family: StandInFamily) {
  const file = await openSafetensors(standIn(family));
  const config = await readConfig(file);
  return { file, config, places: moduleNames(config, file.tensors.keys()) };
}

/** The tensor that a key changes, as "name" or "name[third]". */
function changed(places: ReadonlyMap<string, Place>, key: string): string | undefined {
  const place = places.get(splitName(key)?.module ?? "");
  return place && `${place.weight}${place.third === undefined ? "" : `[${place.third}]`}`;
}

const unet = "model.diffusion_model.";
const clip = "cond_stage_model.transformer.text_model.encoder.layers.3.";
const block = `${unet}input_blocks.4.1.transformer_blocks.0.`;

describe("SD 1", async () => {
  const { places } = await open("sd15");
  it.each([
    // kohya, diffusers' names and the original ones
    ["lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight", `${block}attn1.to_q.weight`],
    ["lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0.lora_up.weight", `${block}attn2.to_out.0.weight`],
    ["lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_ff_net_0_proj.alpha", `${block}ff.net.0.proj.weight`],
    ["lora_unet_down_blocks_1_attentions_0_proj_in.hada_w1_a", `${unet}input_blocks.4.1.proj_in.weight`],
    ["lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight", `${block}attn1.to_q.weight`],
    ["lora_unet_mid_block_attentions_0_proj_out.lokr_w1", `${unet}middle_block.1.proj_out.weight`],
    ["lora_unet_mid_block_resnets_1_conv2.dora_scale", `${unet}middle_block.2.out_layers.3.weight`],
    ["lora_unet_up_blocks_1_upsamplers_0_conv.lora_down.weight", `${unet}output_blocks.5.2.conv.weight`],
    ["lora_unet_up_blocks_0_upsamplers_0_conv.lora_down.weight", `${unet}output_blocks.2.1.conv.weight`],
    ["lora_unet_down_blocks_0_downsamplers_0_conv.lora_mid.weight", `${unet}input_blocks.3.0.op.weight`],
    ["lora_unet_up_blocks_3_resnets_2_time_emb_proj.diff", `${unet}output_blocks.11.0.emb_layers.1.weight`],
    ["lora_unet_up_blocks_3_resnets_2_conv_shortcut.diff_b", `${unet}output_blocks.11.0.skip_connection.weight`],
    ["lora_unet_conv_in.lora_down.weight", `${unet}input_blocks.0.0.weight`],
    ["lora_unet_conv_norm_out.w_norm", `${unet}out.0.weight`],
    ["lora_unet_time_embedding_linear_2.lora_up.weight", `${unet}time_embed.2.weight`],
    ["lora_te_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight", `${clip}self_attn.q_proj.weight`],
    ["lora_te_text_model_encoder_layers_3_mlp_fc1.oft_blocks", `${clip}mlp.fc1.weight`],
    ["lora_te_text_model_final_layer_norm.b_norm", "cond_stage_model.transformer.text_model.final_layer_norm.weight"],
    // PEFT, as diffusers writes it, with an adapter's name, wrapped, and without "unet."
    ["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", `${block}attn1.to_q.weight`],
    ["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.default.weight", `${block}attn1.to_q.weight`],
    ["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_magnitude_vector", `${block}attn1.to_q.weight`],
    ["base_model.model.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", `${block}attn1.to_q.weight`],
    ["down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_B", `${block}attn1.to_q.weight`],
    ["text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_A.weight", `${clip}self_attn.q_proj.weight`],
    ["base_model.model.text_model.encoder.layers.3.mlp.fc2.lora_B.weight", `${clip}mlp.fc2.weight`],
    // diffusers before PEFT
    ["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight", `${block}attn1.to_q.weight`],
    [
      "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight",
      `${block}attn1.to_out.0.weight`,
    ],
    ["unet.down_blocks.1.attentions.0.proj_in.lora.down.weight", `${unet}input_blocks.4.1.proj_in.weight`],
    ["text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.up.weight", `${clip}self_attn.q_proj.weight`],
    ["text_encoder.text_model.encoder.layers.3.self_attn.to_out_lora.up.weight", `${clip}self_attn.out_proj.weight`],
    // ComfyUI and SimpleTuner
    ["diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.lora_up.weight", `${block}attn1.to_q.weight`],
    ["text_encoders.clip_l.transformer.text_model.encoder.layers.3.mlp.fc1.lora_down.weight", `${clip}mlp.fc1.weight`],
    ["lycoris_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lokr_w2", `${block}attn1.to_q.weight`],
  ])("%s", (key, tensor) => {
    expect(changed(places, key)).toBe(tensor);
  });

  it.each(["lora_te1_text_model_encoder_layers_3_mlp_fc1.alpha", "lora_unet_down_blocks_9_resnets_0_conv1.alpha", "unet.alpha"])(
    "%s is nothing of it",
    (key) => {
      expect(changed(places, key)).toBeUndefined();
    },
  );
});

describe("SD 2: OpenCLIP", async () => {
  const { places } = await open("sd21");
  const layer = "cond_stage_model.model.transformer.resblocks.7.";
  it.each([
    ["lora_te_text_model_encoder_layers_7_self_attn_q_proj.lora_up.weight", `${layer}attn.in_proj_weight[0]`],
    ["lora_te_text_model_encoder_layers_7_self_attn_k_proj.lora_up.weight", `${layer}attn.in_proj_weight[1]`],
    ["text_encoder.text_model.encoder.layers.7.self_attn.v_proj.lora_A.weight", `${layer}attn.in_proj_weight[2]`],
    ["text_encoder.text_model.encoder.layers.7.self_attn.to_v_lora.down.weight", `${layer}attn.in_proj_weight[2]`],
    ["lora_te_text_model_encoder_layers_7_self_attn_out_proj.lora_up.weight", `${layer}attn.out_proj.weight`],
    ["lora_te_text_model_encoder_layers_7_mlp_fc1.lora_up.weight", `${layer}mlp.c_fc.weight`],
    ["text_encoders.clip_h.transformer.text_model.encoder.layers.7.mlp.fc2.lora_A.weight", `${layer}mlp.c_proj.weight`],
    ["lora_te_text_model_encoder_layers_7_layer_norm1.w_norm", `${layer}ln_1.weight`],
  ])("%s", (key, tensor) => {
    expect(changed(places, key)).toBe(tensor);
  });
});

describe("SDXL", async () => {
  const { places } = await open("sdxl");
  const attention = `${unet}input_blocks.4.1.transformer_blocks.1.attn2.`;
  const second = "conditioner.embedders.1.model.";
  it.each([
    ["lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k.lora_down.weight", `${attention}to_k.weight`],
    ["lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn2_to_k.lora_down.weight", `${attention}to_k.weight`],
    ["lora_unet_input_blocks_1_0_emb_layers_1.lora_down.weight", `${unet}input_blocks.1.0.emb_layers.1.weight`],
    ["lora_unet_label_emb_0_2.lora_down.weight", `${unet}label_emb.0.2.weight`],
    ["unet.add_embedding.linear_1.lora_A.weight", `${unet}label_emb.0.0.weight`],
    [
      "lora_te1_text_model_encoder_layers_2_mlp_fc1.alpha",
      "conditioner.embedders.0.transformer.text_model.encoder.layers.2.mlp.fc1.weight",
    ],
    ["lora_te2_text_model_encoder_layers_2_mlp_fc1.alpha", `${second}transformer.resblocks.2.mlp.c_fc.weight`],
    [
      "text_encoder.text_model.encoder.layers.2.mlp.fc1.lora_A.weight",
      "conditioner.embedders.0.transformer.text_model.encoder.layers.2.mlp.fc1.weight",
    ],
    [
      "text_encoder_2.text_model.encoder.layers.2.self_attn.k_proj.lora_A.weight",
      `${second}transformer.resblocks.2.attn.in_proj_weight[1]`,
    ],
    [
      "text_encoders.clip_g.transformer.text_model.encoder.layers.2.mlp.fc1.lora_A.weight",
      `${second}transformer.resblocks.2.mlp.c_fc.weight`,
    ],
    ["lora_te2_text_projection.lora_down.weight", `${second}text_projection`],
  ])("%s", (key, tensor) => {
    expect(changed(places, key)).toBe(tensor);
  });

  it("does not take the text encoder of an SD 1 LoRA", () => {
    expect(changed(places, "lora_te_text_model_encoder_layers_2_mlp_fc1.alpha")).toBeUndefined();
  });
});

describe("diffusers' names of the U-Net", () => {
  it.each(standInFamilies)("of %s are the way back of those of a folder", async (family) => {
    const { file, config, places } = await open(family);
    const prefix = `${config.unet.prefix}.`;
    const aliases = unetAliases(config.unet);
    const originals = [...file.tensors.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
    const pairs = originals.map((name): [string, string] => {
      const [from, to] = aliases.find(([start]) => name.startsWith(`${start}.`)) ?? ["", ""];
      return [name, to + name.slice(from.length)];
    });
    const rename = unetNames(new Set(pairs.map(([, diffusers]) => diffusers)));
    for (const [original, diffusers] of pairs) {
      expect(rename(diffusers)).toBe(original);
      // Every module has a name with underscores that leads back to it.
      const module = original.slice(0, original.lastIndexOf("."));
      const name = `lora_unet_${diffusers.slice(0, diffusers.lastIndexOf(".")).replaceAll(".", "_")}`;
      expect(places.get(name)?.module).toBe(`${prefix}${module}`);
    }
  });
});
