/** @file LoRAs on weights that lie otherwise than in the file: fused, transposed, in f16, in shards and folders; and the recorded cases. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { openModelSource } from "../../cli/models/model-source.ts";
import { type Device, fromF16Bits, toF16Bits } from "../../engine/index.ts";
import { cast } from "../../kernels/index.ts";
import type { LoraModel } from "../../model/addons/lora-match.ts";
import { LoraSet } from "../../model/addons/lora-set.ts";
import { openModelFile } from "../../model/checkpoint/open.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { recordedFile } from "../../model/trace/recorded-file.ts";
import { type TracedTensor, trace } from "../../model/trace/trace.ts";
import { readTensors, writeDiffusers, writeShards } from "../checkpoint/as-folders.ts";
import { closeTo } from "../kernels/close.ts";
import { createDevice, needs } from "../kernels/harness.ts";
import { embeddedModel, fixture, missingFixtures } from "../model/cases.ts";
import { added, lowRank } from "../oracle/lora.ts";
import { type AddonTensor, addon, openModel, openSmall, random, readWeight, smallSource } from "./small-model.ts";

let device: Device;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
});
afterAll(() => device.close());

const tolerance = 1e-6;
const size = (outputs: number, inputs = 64, taps = 1) => ({ outputs, inputs, taps });

/** Merges adapters into a small model, looks at it, and gives all back. */
async function withMerged(
  family: "sd1" | "sd2" | "sdxl",
  tensors: Readonly<Record<string, AddonTensor>>,
  look: (model: LoraModel, original: (name: string) => Promise<Float32Array>) => Promise<void>,
  on: Device = device,
): Promise<void> {
  const model = await openSmall(on, smallSource(family));
  try {
    await new LoraSet(model).apply([{ lora: await addon(tensors), text: 0.6, unet: 0.8 }]);
    await look(model, (name) => readValues(model.checkpoint.file, name));
  } finally {
    model.checkpoint.free();
  }
}

describe("OpenCLIP", () => {
  it.each([
    ["sd2", "lora_te", "cond_stage_model.model"],
    ["sdxl", "lora_te2", "conditioner.embedders.1.model"],
  ] as const)("of %s: queries, keys and values are thirds of one matrix", async (family, prefix, path) => {
    const [up, down, shift] = [random(64, 3), random(3, 64), random(64)];
    const key = `${prefix}_text_model_encoder_layers_1_self_attn_k_proj`;
    const value = key.replace("k_proj", "v_proj");
    const tensors = { [`${key}.lora_up.weight`]: up, [`${key}.lora_down.weight`]: down, [`${value}.diff_b`]: shift };
    await withMerged(family, tensors, async (model, original) => {
      const [name, bias] = ["in_proj_weight", "in_proj_bias"].map((end) => `${path}.transformer.resblocks.1.attn.${end}`);
      const w = await original(name!);
      const d = lowRank(up.values, down.values, 3, size(64));
      const expected = w.map((one, at) => one + (at >= 64 * 64 && at < 2 * 64 * 64 ? 0.6 * d[at - 64 * 64]! : 0));
      closeTo(await readWeight(model, name!), expected, tolerance);
      const b = await original(bias!);
      closeTo(
        await readWeight(model, bias!),
        b.map((one, at) => one + (at >= 128 ? 0.6 * shift.values[at - 128]! : 0)),
        tolerance,
      );
    });
  });

  it("text_projection stands as [in, out] in the file, as [out, in] in add-ons", async () => {
    const [up, down] = [random(64, 3), random(3, 64)];
    const tensors = { "lora_te2_text_projection.lora_up.weight": up, "lora_te2_text_projection.lora_down.weight": down };
    await withMerged("sdxl", tensors, async (model, original) => {
      const name = "conditioner.embedders.1.model.text_projection";
      const d = lowRank(up.values, down.values, 3, size(64));
      const w = await original(name);
      const turned = Float64Array.from(w, (_, at) => w[(at % 64) * 64 + Math.floor(at / 64)]!); // [out, in]
      closeTo(await readWeight(model, name), added(turned, d, 0.6), tolerance);
    });
  });

  it("the first encoder of SDXL is CLIP's", async () => {
    const [up, down] = [random(256, 3), random(3, 64)];
    const key = "lora_te1_text_model_encoder_layers_0_mlp_fc1";
    await withMerged("sdxl", { [`${key}.lora_up.weight`]: up, [`${key}.lora_down.weight`]: down }, async (model, original) => {
      const name = "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight";
      closeTo(
        await readWeight(model, name),
        added(await original(name), lowRank(up.values, down.values, 3, size(256)), 0.6),
        tolerance,
      );
    });
  });
});

describe("linear and 1x1 convolution are the same to an adapter", () => {
  it.each([
    ["sd1", [64, 3], [3, 64]],
    ["sd2", [64, 3, 1, 1], [3, 64, 1, 1]],
  ] as const)("of %s", async (family, upShape, downShape) => {
    const [up, down] = [random(...upShape), random(...downShape)];
    const key = "lora_unet_down_blocks_0_attentions_0_proj_in";
    await withMerged(family, { [`${key}.lora_up.weight`]: up, [`${key}.lora_down.weight`]: down }, async (model, original) => {
      const name = "model.diffusion_model.input_blocks.1.1.proj_in.weight";
      closeTo(
        await readWeight(model, name),
        added(await original(name), lowRank(up.values, down.values, 3, size(64)), 0.8),
        tolerance,
      );
    });
  });
});

it("every block's own columns of the fused timestep projections", async () => {
  const [up, down] = [random(128, 3), random(3, 256)];
  const key = "lora_unet_mid_block_resnets_0_time_emb_proj";
  await withMerged("sd1", { [`${key}.lora_up.weight`]: up, [`${key}.lora_down.weight`]: down }, async (model, original) => {
    const name = "model.diffusion_model.middle_block.0.emb_layers.1.weight";
    const d = lowRank(up.values, down.values, 3, size(128, 256));
    closeTo(await readWeight(model, name), added(await original(name), d, 0.8), tolerance);
    for (const other of ["middle_block.2", "input_blocks.1.0"]) {
      const neighbour = `model.diffusion_model.${other}.emb_layers.1.weight`;
      expect(await readWeight(model, neighbour)).toEqual(await original(neighbour));
    }
  });
});

it("weights unpacked on the GPU, as GPUs do", async () => {
  const other = await createDevice({ precision: "f32", tier: "f32" });
  try {
    const [up, down] = [random(128, 3, 1, 1), random(3, 128, 3, 3)];
    const key = "lora_unet_mid_block_resnets_0_conv1";
    const tensors = { [`${key}.lora_up.weight`]: up, [`${key}.lora_down.weight`]: down };
    const look = async (model: LoraModel, original: (name: string) => Promise<Float32Array>) => {
      const name = "model.diffusion_model.middle_block.0.in_layers.2.weight";
      const d = lowRank(up.values, down.values, 3, size(128, 128, 9));
      closeTo(await readWeight(model, name), added(await original(name), d, 0.8), tolerance);
    };
    await withMerged("sd1", tensors, look, other);
  } finally {
    other.close();
  }
});

it("f16 weights are rounded once, from the f32 result", async ({ skip }) => {
  needs(device, "shader-f16", skip);
  const half = await createDevice({ precision: "f16" });
  try {
    const [up, down] = [random(64, 3), random(3, 64)];
    const key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
    const look = async ({ checkpoint }: LoraModel, original: (name: string) => Promise<Float32Array>) => {
      const name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight";
      const target = checkpoint.targets.find(({ parts }) => parts[0]?.entry.name === name)!;
      expect(target.tensor.dtype).toBe("f16");
      const wide = half.scope(() => cast(target.tensor, "f32"));
      const device = await wide.read();
      wide.free();
      const exact = added(await original(name), lowRank(up.values, down.values, 3, size(64)), 0.8);
      // f32 sums may fall on the other side of a tie between two halves: one f16 step, at most 2^-10 of the largest value.
      const rounded = exact.map((value) => fromF16Bits(toF16Bits(value)));
      const found = Float64Array.from(exact, (_, at) => device[(at % 64) * target.layout.width + Math.floor(at / 64)]!);
      closeTo(found, rounded, 2 ** -10);
      expect(found.filter((value, at) => value !== rounded[at]).length).toBeLessThan(found.length / 200);
    };
    await withMerged("sd1", { [`${key}.lora_up.weight`]: up, [`${key}.lora_down.weight`]: down }, look, half);
  } finally {
    half.close();
  }
});

it("shards and diffusers folders give the weights of the single file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "limn-loras-"));
  const source = await openFile(embeddedModel);
  try {
    const file = await openSafetensors(source);
    const single = await openModel(device, file);
    const tensors = await readTensors(file);
    const metadata = Object.fromEntries([...file.metadata].filter(([key]) => key.startsWith("limn.")));
    mkdirSync(join(folder, "diffusers"));
    writeDiffusers(join(folder, "diffusers"), tensors, single.config, metadata, { sharded: true });
    const index = writeShards(join(folder, "shards"), tensors, Object.fromEntries(file.metadata));
    const names = [
      ["lora_unet_mid_block_resnets_0_conv1", "model.diffusion_model.middle_block.0.in_layers.2.weight"],
      [
        "lora_te_text_model_encoder_layers_0_self_attn_v_proj",
        `${single.config.text[0]!.prefix}.encoder.layers.0.self_attn.v_proj.weight`,
      ],
    ] as const;
    const parts = names.map(([key, name]): Record<string, AddonTensor> => {
      const [outputs = 0, ...rest] = file.tensors.get(name)!.shape;
      return {
        [`${key}.lora_up.weight`]: random(outputs, 2, ...rest.slice(1).map(() => 1)),
        [`${key}.lora_down.weight`]: random(2, ...rest),
      };
    });
    const uses = [{ lora: await addon({ ...parts[0], ...parts[1] }), text: 0.6, unet: 0.8 }];
    await new LoraSet(single).apply(uses);
    for (const path of [index, join(folder, "diffusers")]) {
      const opened = await openModelSource(path);
      const model = await openModel(device, await openModelFile(opened));
      await new LoraSet(model).apply(uses);
      for (const [, name] of names) {
        const merged = await readWeight(model, name);
        expect(merged).toEqual(await readWeight(single, name));
        expect(merged).not.toEqual(await readValues(file, name));
      }
      model.checkpoint.free();
      await opened.close();
    }
    single.checkpoint.free();
  } finally {
    await source.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("recorded add-ons of sd1-tiny (ComfyUI's merges)", () => {
  const { model, cases } = fixture("sd1-tiny");
  const addons = cases.replace("sd1-tiny.cases", "sd1-tiny.addons.cases");

  it("agree: weights within 1e-6, modules as ever", async ({ skip }) => {
    if (missingFixtures) skip(missingFixtures);
    const sources = [await openFile(model), await openFile(addons)];
    const live = device.memory.liveBytes;
    const comparing = trace(recordedFile(await openSafetensors(sources[1]!)), {
      device,
      checkpoint: await openSafetensors(sources[0]!),
      openAddon: async (kind) => {
        const source = await openFile(model.replace(/\.safetensors$/, `.${kind}.safetensors`));
        sources.push(source);
        return source;
      },
    });
    let step = await comparing.next();
    while (!step.done) step = await comparing.next();
    for (const source of sources) await source.close();
    const { tensors, skipped } = step.value;
    expect(skipped).toEqual([]);
    const names = tensors.map(({ name }) => name);
    for (const kind of ["lora", "locon", "loha", "lokr", "dora"]) {
      expect(names.filter((name) => name.startsWith(`${kind}.`)).map((name) => name.split(/[.:]/)[1])).toEqual([
        "weight",
        "text",
        "unet",
      ]);
    }
    const limit = ({ name }: TracedTensor) => (name.includes(".weight:") ? 1e-6 : name.endsWith("unet.out") ? 5e-5 : 2e-5);
    for (const tensor of tensors) expect(tensor.relativeError, tensor.name).toBeLessThanOrEqual(limit(tensor));
    expect(device.memory.liveBytes).toBe(live);
  });
});
