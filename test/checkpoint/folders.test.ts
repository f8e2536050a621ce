/** @file What can be wrong with a diffusers folder. */
import { expect, test } from "vitest";
import type { ByteFolder } from "../../model/checkpoint/byte-folder.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { openModelFile, openVaeFile } from "../../model/checkpoint/open.ts";
import { safetensors } from "./build-file.ts";
import { dictOps, op, pickle, tensorOps, torchZip } from "./torch-writer.ts";

const empty = safetensors([]);

function folder(files: Readonly<Record<string, string | Uint8Array>>): ByteFolder {
  return {
    name: "models/mine",
    files: new Set(Object.keys(files)),
    open: async (path) => {
      const content = files[path]!;
      return new MemorySource(typeof content === "string" ? new TextEncoder().encode(content) : content, `models/mine/${path}`);
    },
  };
}

const pipeline = (name: string): string => JSON.stringify({ _class_name: name, unet: ["diffusers", "UNet2DConditionModel"] });
const weights = { "unet/diffusion_pytorch_model.safetensors": empty, "vae/diffusion_pytorch_model.safetensors": empty };
const stable = { "model_index.json": pipeline("StableDiffusionPipeline"), ...weights };

test.each([
  "StableDiffusion3Pipeline",
  "FluxPipeline",
  "StableDiffusionUpscalePipeline",
  "StableDiffusionLatentUpscalePipeline",
  "StableDiffusionDepth2ImgPipeline",
  "StableUnCLIPPipeline",
  "PixArtAlphaPipeline",
])("%s is named and refused", async (name) => {
  await expect(openModelFile(folder({ ...stable, "model_index.json": pipeline(name) }))).rejects.toMatchObject({
    code: "MODEL_UNSUPPORTED",
    message: expect.stringContaining(name),
  });
});

test.each([
  "StableDiffusionPipeline",
  "StableDiffusionXLPipeline",
  "StableDiffusionXLImg2ImgPipeline",
  "StableDiffusionInpaintPipeline",
  "StableDiffusionInstructPix2PixPipeline",
  "LatentConsistencyModelPipeline",
])("%s is opened", async (name) => {
  const file = await openModelFile(folder({ ...stable, "model_index.json": pipeline(name) }));
  expect(file.tensors.size).toBe(0);
});

const callsSystem = pickle(op.global("os", "system"), op.mark, op.text("echo harm"), op.tuple, op.reduce);

test.each([
  ["no weights", { "vae/diffusion_pytorch_model.safetensors": new Uint8Array() }, "MODEL_INCOMPLETE", /unet\//],
  ["row 27: a pickle by torch.save", { "unet/diffusion_pytorch_model.bin": torchZip(callsSystem) }, "PICKLE_CODE", /os\.system/],
] as const)("%s", async (_, files, code, message) => {
  const content = { "model_index.json": stable["model_index.json"], "unet/config.json": "{}", ...files };
  await expect(openModelFile(folder(content))).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test("pickled weights are opened where there are no others", async () => {
  const x = tensorOps({ count: 2, shape: [2], strides: [1] });
  const bin = torchZip(pickle(dictOps({ x })), { 0: new Uint8Array(8) });
  const content = { "model_index.json": stable["model_index.json"], "vae/diffusion_pytorch_model.bin": bin };
  const file = await openModelFile(folder({ ...content, "unet/diffusion_pytorch_model.bin": bin }));
  expect([...file.tensors.keys()]).toEqual(["model.diffusion_model.x", "first_stage_model.x"]);
  const only = await openModelFile(folder({ "v1-5.ckpt": bin }));
  expect([...only.tensors.keys()]).toEqual(["x"]);
});

test("pickled weights in shards are opened where there are no others", async () => {
  const bin = (name: string) =>
    torchZip(pickle(dictOps({ [name]: tensorOps({ count: 2, shape: [2], strides: [1] }) })), { 0: new Uint8Array(8) });
  const map = (stem: string) => JSON.stringify({ weight_map: { x: `${stem}-1.bin`, y: `${stem}-2.bin` } });
  const shards = { "m-1.bin": bin("x"), "m-2.bin": bin("y") };
  const inUnet = Object.fromEntries(Object.entries(shards).map(([name, bytes]) => [`unet/${name}`, bytes]));
  const rest = { "model_index.json": stable["model_index.json"], "vae/diffusion_pytorch_model.safetensors": empty };
  for (const name of ["diffusion_pytorch_model.bin.index.json", "diffusion_pytorch_model.bin.index.fp16.json"]) {
    const file = await openModelFile(folder({ ...rest, ...inUnet, [`unet/${name}`]: map("m") }));
    expect([...file.tensors.keys()], name).toEqual(["model.diffusion_model.x", "model.diffusion_model.y"]);
  }
  const alone = { ...shards, "pytorch_model.bin.index.json": map("m") };
  expect((await openModelFile(folder(alone))).tensors.size).toBe(2);
  // Safetensors go first.
  expect((await openModelFile(folder({ ...alone, "model.safetensors": empty }))).tensors.size).toBe(0);
});

test.each([
  ["unet/config.json", "{", /not JSON/],
  ["unet/config.json", "[]", /an object/],
  ["unet/config.json", '{"block_out_channels": "many"}', /whole numbers/],
  ["unet/config.json", " ".repeat(1_000_001), /limit/],
  ["scheduler/scheduler_config.json", '{"beta_start": -1}', /beta_start/],
  ["vae/config.json", '{"scaling_factor": "x"}', /scaling_factor/],
])("%s with %.20s", async (path, content, message) => {
  await expect(openModelFile(folder({ ...stable, [path]: content }))).rejects.toMatchObject({
    code: "CONFIG_METADATA",
    message: expect.stringMatching(message),
  });
});

test("betas spaced otherwise, heads that differ both ways", async () => {
  const scheduler = folder({ ...stable, "scheduler/scheduler_config.json": '{"beta_schedule": "squaredcos_cap_v2"}' });
  await expect(openModelFile(scheduler)).rejects.toMatchObject({ code: "MODEL_UNSUPPORTED" });
  const heads = folder({ ...stable, "unet/config.json": '{"attention_head_dim": [1, 3], "block_out_channels": [64, 64]}' });
  await expect(openModelFile(heads)).rejects.toMatchObject({ code: "MODEL_UNSUPPORTED" });
});

test("what the JSON files say", async () => {
  const said = folder({
    ...stable,
    "unet/config.json": '{"attention_head_dim": [5, 10], "block_out_channels": [320, 640], "sample_size": 96}',
    "vae/config.json": '{"scaling_factor": 0.13025, "block_out_channels": [128, 256, 512, 512]}',
    "scheduler/scheduler_config.json": '{"prediction_type": "v_prediction", "rescale_betas_zero_snr": true, "beta_end": 0.012}',
  });
  const { metadata } = await openModelFile(said);
  expect(JSON.parse(metadata.get("ldm.config")!)).toMatchObject({
    unet: { num_head_channels: 64 },
    vae: { scale_factor: 0.13025 },
    schedule: { parameterization: "v_prediction", zero_terminal_snr: true, linear_end: 0.012 },
  });
  expect(JSON.parse(metadata.get("limn.defaults")!)).toEqual({ width: 768, height: 768 });
});

test("a folder without a model, and one of a VAE without weights", async () => {
  await expect(openModelFile(folder({ "notes.txt": "" }))).rejects.toMatchObject({ code: "FS_NOT_A_FILE" });
  await expect(openVaeFile(folder({ "config.json": "{}" }))).rejects.toMatchObject({ code: "MODEL_INCOMPLETE" });
});
