/** @file Row 17: a model that lacks tensors, whichever they are, is refused before anything is recorded, and all of them are named. */
import { beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { ModelFileError } from "../../engine/errors.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { Checkpoint } from "../../model/checkpoint/checkpoint.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors, type SafetensorsFile } from "../../model/checkpoint/safetensors.ts";
import { StableDiffusion } from "../../model/index.ts";
import { TextEncoder } from "../../model/text/text-encoder.ts";
import { UNet } from "../../model/unet/unet.ts";
import { VaeDecoder } from "../../model/vae/decoder.ts";
import { smallSource } from "../addons/small-model.ts";
import { useDevice } from "../kernels/harness.ts";
import { embeddedModel } from "../model/cases.ts";
import { readTensors } from "./as-folders.ts";
import { safetensors, type TestTensor } from "./build-file.ts";

const gpu = useDevice();
const unet = "model.diffusion_model";
const text = "cond_stage_model.transformer.text_model";

let embedded: SafetensorsFile;
let tensors: ReadonlyMap<string, TestTensor>;
beforeAll(async () => {
  const source = await openFile(embeddedModel);
  embedded = await openSafetensors(source);
  tensors = await readTensors(embedded);
  await source.close();
});

function without(file: SafetensorsFile, lacks: (name: string) => boolean): SafetensorsFile {
  return { ...file, tensors: new Map([...file.tensors].filter(([name]) => !lacks(name))) };
}

async function refusal(work: Promise<unknown>): Promise<ModelFileError | undefined> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error !== undefined && !(error instanceof ModelFileError)) throw error;
  return error;
}

describe.each(["sd1", "sd2", "sdxl"] as const)("%s", (family) => {
  test("each tensor that a module takes is missed by its name, and no other", async () => {
    const file = await openSafetensors(smallSource(family));
    const config = await readConfig(file);
    const checkpoint = new Checkpoint(file, gpu.device, { parked: true });
    const root = checkpoint.weights;
    const tables = config.text.flatMap((one) => {
      const { tokens, positions } = new TextEncoder(root.at(one.prefix), one);
      return [tokens.name, positions.name];
    });
    new UNet(root.at(config.unet.prefix), config.unet);
    new VaeDecoder(root.at(config.vae.prefix), config.vae);
    const taken = new Set([...checkpoint.tensors.flatMap(({ names }) => names), ...tables]);
    checkpoint.free();

    const missed = new Set<string>();
    for (const name of file.tensors.keys()) {
      const error = await refusal(readConfig(without(file, (other) => other === name)));
      if (error === undefined) continue;
      missed.add(name);
      expect(error.code).toBe("CHECKPOINT_MISSING");
      expect(error.message.endsWith(`1 tensor is missing for a model of the family ${family}: ${name}`)).toBe(true);
    }
    expect([...missed].sort()).toEqual([...taken].sort());
  });
});

describe("parts", () => {
  test.each([
    ["every output block", new RegExp(`^${unet}\\.output_blocks`), `${unet}.output_blocks.0.0.in_layers.0.weight`],
    ["the last output block", new RegExp(`^${unet}\\.output_blocks\\.7`), `${unet}.output_blocks.7.0.in_layers.0.weight`],
    ["an input block in between", new RegExp(`^${unet}\\.input_blocks\\.3\\.`), `${unet}.input_blocks.3.0.in_layers.0.weight`],
    ["a downsampler's mirror", new RegExp(`^${unet}\\.output_blocks\\..*\\.conv\\.`), ".conv.weight"],
    ["a transformer's blocks", new RegExp(`^${unet}\\.middle_block\\.1\\.transformer`), "transformer_blocks.0.norm1.weight"],
    ["the transformer in the middle", new RegExp(`^${unet}\\.middle_block\\.1\\.`), `${unet}.middle_block.1.norm.weight`],
    [
      "a layer of the text encoder",
      new RegExp(`^${text}\\.encoder\\.layers\\.1\\.`),
      `${text}.encoder.layers.1.layer_norm1.weight`,
    ],
    ["a level of the VAE", /^first_stage_model\.decoder\.up\.1\./, "first_stage_model.decoder.up.1.block.0.norm1.weight"],
  ])("%s", async (_, lacks, first) => {
    const error = await refusal(readConfig(without(embedded, (name) => lacks.test(name))));
    expect(error?.code).toBe("CHECKPOINT_MISSING");
    expect(error?.message).toContain(first);
    expect(error?.message).toContain("family sd1");
    expect(error?.hint).toMatch(/by name it has \d+ % of SD 1\.5's tensors, \d+ % of/);
  });
  test("all that are missing are counted, ten are named", async () => {
    const lacks = new RegExp(`(\\.proj_out\\.weight|${unet}\\.out\\.2\\.weight|fc1\\.bias)$`);
    const count = [...embedded.tensors.keys()].filter((name) => lacks.test(name) && !name.includes("encoder.mid")).length;
    const error = await refusal(readConfig(without(embedded, (name) => lacks.test(name))));
    expect(error?.message).toContain(`${count} tensors are missing`);
    expect(error?.message).toContain(`and ${count - 10} more`);
  });
  test("a text encoder, a VAE as a whole", async () => {
    for (const [part, word] of [
      ["cond_stage_model.", "text encoder"],
      ["first_stage_model.", "VAE"],
    ] as const) {
      const error = await refusal(readConfig(without(embedded, (name) => name.startsWith(part))));
      expect([error?.code, error?.message]).toEqual(["MODEL_INCOMPLETE", expect.stringContaining(`no ${word}`)]);
    }
  });
});

describe("row 17: loading a model that lacks a tensor", () => {
  test.each([
    `${unet}.input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight`,
    `${unet}.input_blocks.1.1.transformer_blocks.0.ff.net.0.proj.bias`,
    `${unet}.output_blocks.0.0.skip_connection.weight`,
    `${text}.final_layer_norm.bias`,
    "first_stage_model.decoder.up.1.block.0.conv1.bias",
  ])("%s", async (name) => {
    const before = gpu.device.memory.liveBytes;
    const kept = [...tensors.values()].filter((tensor) => tensor.name !== name);
    const source = new MemorySource(safetensors(kept, Object.fromEntries(embedded.metadata)), "m.safetensors");
    const error = await refusal(StableDiffusion.load(source, { device: gpu.device, picture: { width: 64, height: 64 } }));
    expect(error?.code).toBe("CHECKPOINT_MISSING");
    expect(error?.message).toBe(`m.safetensors: 1 tensor is missing for a model of the family sd1: ${name}`);
    expect(gpu.device.memory.liveBytes).toBe(before);
  });
  test("a VAE of its own is the file that is named", async () => {
    const isVae = (name: string) => name.startsWith("first_stage_model.");
    const whole = new MemorySource(safetensors([...tensors.values()], Object.fromEntries(embedded.metadata)), "m.safetensors");
    const kept = [...tensors.values()].filter(({ name }) => isVae(name) && !name.endsWith("decoder.norm_out.bias"));
    const vae = new MemorySource(safetensors(kept), "vae.safetensors");
    const error = await refusal(StableDiffusion.load(whole, { device: gpu.device, vae, picture: { width: 64, height: 64 } }));
    expect(error?.message).toBe(
      "vae.safetensors: 1 tensor is missing for a model of the family VAE: first_stage_model.decoder.norm_out.bias",
    );
  });
});
