import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { ModelFileError } from "../../engine/errors.ts";
import { type ModelConfig, readConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { skipped } from "../skip.ts";
import { encode, open, safetensors, type TestTensor } from "./build-file.ts";

const fixtures = "../shared/fixtures";
const hasFixtures = existsSync(`${fixtures}/sd1-tiny.safetensors`);

async function configOf(path: string): Promise<ModelConfig> {
  const source = await openFile(path);
  try {
    return await readConfig(await openSafetensors(source));
  } finally {
    await source.close();
  }
}

test("the embedded checkpoint", async () => {
  const config = await configOf("checkpoints/limn-emoji.safetensors");
  expect(config).toMatchObject({
    family: "sd1",
    variant: "base",
    inChannels: 4,
    prediction: "eps",
    predictionFrom: "metadata",
    vae: { prefix: "first_stage_model", ch: 32, chMult: [1, 1, 2, 4], numResBlocks: 1, zChannels: 4, factor: 8, normGroups: 8 },
    text: [{ kind: "clip", width: 64, layers: 4, heads: 4, mlp: 256, activation: "quick_gelu", output: "last", finalNorm: true }],
    schedule: { linearStart: 0.00085, linearEnd: 0.012, timesteps: 1000, zeroTerminalSnr: false },
    defaults: { width: 128, height: 128, steps: 20, guidance: 4, sampler: "dpmpp_2m", schedule: "karras" },
  });
  expect(config.unet).toMatchObject({
    modelChannels: 64,
    channelMult: [1, 2, 2, 2],
    depth: [1, 1, 1, 0],
    numResBlocks: 1,
    middle: { channels: 128, depth: 1 },
    heads: { count: 8 },
    contextDim: 64,
    linearProjection: false,
    timeDim: 256,
    admChannels: undefined,
    normGroups: 8,
  });
  expect(config.unet.inputBlocks.map((block) => block.kind)).toEqual([
    "conv",
    "res",
    "down",
    "res",
    "down",
    "res",
    "down",
    "res",
  ]);
  expect(config.unet.outputBlocks[1]).toEqual({
    path: "output_blocks.1",
    inChannels: 256,
    channels: 128,
    depth: 0,
    upsample: "output_blocks.1.1.conv",
  });
  expect(config.vae.scaleFactor).toBeCloseTo(0.5205553255);
  expect(config.knows).toContain("fox");
  expect(config.backgrounds).toContain("pink");
});

describe.skipIf(skipped("configurations of the small families", !hasFixtures && `no ${fixtures}`))("fixtures", () => {
  const clip = { kind: "clip", prefix: "cond_stage_model.transformer.text_model", width: 128, layers: 3, heads: 2, mlp: 512 };
  test.each([
    ["sd1-tiny", "base", 4],
    ["sd1-inpaint-tiny", "inpaint", 9],
  ])("%s", async (name, variant, inChannels) => {
    const config = await configOf(`${fixtures}/${name}.safetensors`);
    expect(config).toMatchObject({ family: "sd1", variant, inChannels, prediction: "eps", text: [clip] });
    expect(config.unet).toMatchObject({
      heads: { count: 8 },
      linearProjection: false,
      normGroups: 32,
      depth: [1, 1, 1, 0],
      numResBlocks: 2,
    });
    expect(config.vae).toMatchObject({ scaleFactor: 0.18215, ch: 32, chMult: [1, 2, 2, 2], hasEncoder: true });
    expect(config.defaults).toEqual({ width: 512, height: 512, steps: 20, guidance: 7, sampler: "dpmpp_2m", schedule: "karras" });
  });
  test("sd2-tiny", async () => {
    const config = await configOf(`${fixtures}/sd2-tiny.safetensors`);
    expect(config).toMatchObject({ family: "sd2", predictionFrom: "weights" });
    expect(config.unet).toMatchObject({ heads: { width: 64 }, linearProjection: true, contextDim: 128, numResBlocks: 1 });
    expect(config.text).toMatchObject([
      {
        kind: "openclip",
        prefix: "cond_stage_model.model",
        layers: 3,
        activation: "gelu",
        output: "penultimate",
        finalNorm: true,
      },
    ]);
  });
  test("sdxl-tiny", async () => {
    const config = await configOf(`${fixtures}/sdxl-tiny.safetensors`);
    expect(config).toMatchObject({ family: "sdxl", prediction: "eps", vae: { scaleFactor: 0.13025 } });
    expect(config.unet).toMatchObject({
      depth: [0, 1, 2],
      middle: { depth: 2 },
      admChannels: 1664,
      contextDim: 192,
      heads: { width: 64 },
    });
    expect(config.text).toMatchObject([
      { kind: "clip", width: 64, heads: 1, output: "penultimate", finalNorm: false, pooled: false },
      { kind: "openclip", prefix: "conditioner.embedders.1.model", width: 128, finalNorm: false, pooled: true },
    ]);
  });
  test.each([
    ["sd1-tiny.lora", "a LoRA"],
    ["sd1-tiny.locon", "a LoRA"],
    ["sd1-tiny.loha", "a LoRA"],
    ["sd1-tiny.lokr", "a LoRA"],
    ["sd1-tiny.dora", "a LoRA"],
    ["sd1-tiny.controlnet", "a ControlNet"],
    ["sd1-tiny.embedding", "a textual inversion"],
    ["samplers", "no model that limn knows"],
  ])("%s is %s", async (name, what) => {
    await expect(configOf(`${fixtures}/${name}.safetensors`)).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: expect.stringContaining(what),
      hint: expect.stringContaining("checkpoint"),
    });
  });
});

const tensor = (name: string, shape: readonly number[]): TestTensor => {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, dtype: "F32", shape, bytes: encode(new Float32Array(count), "F32", () => 0) };
};
const refusal = async (tensors: readonly TestTensor[], metadata: Record<string, string> = {}): Promise<ModelFileError> => {
  const error = await open(safetensors(tensors, metadata))
    .then(readConfig)
    .catch((reason: unknown) => reason);
  if (!(error instanceof ModelFileError)) throw new Error(`expected a ModelFileError, got ${String(error)}`);
  return error;
};

test.each([
  ["model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3"],
  ["double_blocks.0.img_attn.qkv.weight", "Flux"],
  ["first_stage_model.decoder.conv_in.weight", "a VAE"],
  ["decoder.conv_in.weight", "a VAE"],
  ["decoder.up_blocks.0.resnets.0.norm1.weight", "diffusers"],
  ["down_blocks.0.resnets.0.norm1.weight", "diffusers"],
  ["text_model.embeddings.token_embedding.weight", "a text encoder"],
  ["lora_unet_mid_block.lora_up.weight", "a LoRA"],
  ["unet.mid_block.attentions.0.to_q.lora_A.weight", "a LoRA"],
  ["control_model.input_blocks.0.0.weight", "a ControlNet"],
])("%s alone: %s", async (name, what) => {
  const error = await refusal([tensor(name, [4, 4, 3, 3])]);
  expect(error.code).toBe("MODEL_UNSUPPORTED");
  expect(error.message).toContain(what);
});

const unetStart = "model.diffusion_model.input_blocks.0.0.weight";
test.each([
  [[tensor(unetStart, [32, 5, 3, 3])], "depth-guided"],
  [[tensor(unetStart, [32, 7, 3, 3])], "x4 upscaler"],
  [[tensor(unetStart, [32, 6, 3, 3])], "6 input channels"],
  [[tensor(unetStart, [32, 4, 3, 3]), tensor("edm_mean", [4])], "EDM"],
  [[tensor(unetStart, [32, 4, 3, 3]), tensor("model.diffusion_model.label_emb.0.0.weight", [8, 8])], "without its text encoders"],
])("variants that can't run are named", async (tensors, what) => {
  expect((await refusal(tensors)).message).toContain(what);
});

test("a file without tensors", async () => {
  expect((await refusal([])).message).toContain("without tensors");
});

test.each([
  ["text encoder's MLP", /\.mlp\./, 256],
  ["VAE", /^first_stage_model\./, 32],
])("a width of its %s that is no multiple of 4", async (part, names, width) => {
  const source = await openFile("checkpoints/limn-emoji.safetensors");
  try {
    const file = await openSafetensors(source);
    const wider = (size: number) => (size % width === 0 ? (size / width) * (width + 2) : size);
    const tensors = [...file.tensors].map(
      ([name, entry]) => [name, names.test(name) ? { ...entry, shape: entry.shape.map(wider) } : entry] as const,
    );
    await expect(readConfig({ ...file, tensors: new Map(tensors), metadata: new Map() })).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: expect.stringContaining(`with ${width + 2} channels in its ${part}`),
      hint: expect.stringContaining("multiples of 4"),
    });
  } finally {
    await source.close();
  }
});

describe("metadata", () => {
  /** The embedded checkpoint's tensors under other metadata. */
  const withMetadata = async (metadata: Record<string, string>): Promise<ModelConfig> => {
    const source = await openFile("checkpoints/limn-emoji.safetensors");
    try {
      const file = await openSafetensors(source);
      return await readConfig({ ...file, metadata: new Map(Object.entries(metadata)) });
    } finally {
      await source.close();
    }
  };
  // Width 64 in 32 groups is fine; 64 channels of text need a head count of 1 by the rule of width 64.
  test("without it, shapes and the family's rules", async () => {
    const config = await withMetadata({});
    expect(config).toMatchObject({
      predictionFrom: "family",
      vae: { scaleFactor: 0.18215, normGroups: 32 },
      text: [{ heads: 1 }],
    });
    expect(config.knows).toEqual([]);
  });
  test("v-prediction by ModelSpec", async () => {
    expect(await withMetadata({ "modelspec.prediction_type": "v" })).toMatchObject({
      prediction: "v",
      predictionFrom: "metadata",
    });
  });
  test.each([
    ["ldm.config", "{", "CONFIG_METADATA"],
    ["ldm.config", "[]", "CONFIG_METADATA"],
    ["ldm.config", '{"unet":{"num_heads":"8"}}', "CONFIG_METADATA"],
    ["ldm.config", '{"unet":{"num_heads":0}}', "CONFIG_METADATA"],
    ["ldm.config", '{"unet":{"num_heads":7}}', "CONFIG_SHAPE"],
    ["ldm.config", '{"unet":{"model_channels":320}}', "CONFIG_CONFLICT"],
    ["ldm.config", '{"vae":{"ch_mult":[1,2,4,4]}}', "CONFIG_CONFLICT"],
    ["ldm.config", '{"text":{"hidden_act":"relu"}}', "CONFIG_METADATA"],
    ["ldm.config", '{"schedule":{"parameterization":"x0"}}', "CONFIG_METADATA"],
    ["ldm.config", '{"schedule":{"timesteps":1.5}}', "CONFIG_METADATA"],
    ["limn.defaults", '{"steps":0}', "CONFIG_METADATA"],
    ["limn.knows", '{"fox":1}', "CONFIG_METADATA"],
    ["limn.knows", '["fox",""]', "CONFIG_METADATA"],
  ])("%s = %s is refused with %s", async (key, value, code) => {
    await expect(withMetadata({ [key]: value })).rejects.toMatchObject({ code });
  });
  test.each([
    ['{"sampler":"eular"}', 'limn.defaults.sampler should be a sampler that limn has, is "eular"', /did you mean euler/],
    ['{"schedule":"nope"}', "limn.defaults.schedule should be a schedule that limn has", /metadata/],
    ['{"width":100}', "limn.defaults.width should be a multiple of 8, is 100", /metadata/],
    ['{"height":56}', "limn.defaults.height should be a number 64 to 16384, is 56", /metadata/],
  ])("limn.defaults %s is the file's fault, not the user's", async (value, message, hint) => {
    await expect(withMetadata({ "limn.defaults": value })).rejects.toMatchObject({
      code: "CONFIG_METADATA",
      message: expect.stringContaining(`checkpoints/limn-emoji.safetensors: metadata ${message}`),
      hint: expect.stringMatching(hint),
    });
  });
  test("samplers of limn.defaults may be labels, too", async () => {
    const { defaults } = await withMetadata({ "limn.defaults": '{"sampler":"DPM++ 2M Karras","width":128}' });
    expect([defaults.sampler, defaults.width]).toEqual(["DPM++ 2M Karras", 128]);
  });
  test("__proto__ in it changes nothing", async () => {
    await withMetadata({ "limn.defaults": '{"__proto__":{"steps":3}}' });
    expect(({} as { steps?: number }).steps).toBeUndefined();
  });
});

describe("row 19: a shape that does not go with the others", () => {
  const withShapes = async (shapes: Record<string, readonly number[]>): Promise<unknown> => {
    const source = await openFile("checkpoints/limn-emoji.safetensors");
    try {
      const file = await openSafetensors(source);
      const tensors = new Map(file.tensors);
      for (const [name, shape] of Object.entries(shapes)) tensors.set(name, { ...tensors.get(name)!, shape });
      return await readConfig({ ...file, tensors });
    } finally {
      await source.close();
    }
  };
  const unet = "model.diffusion_model";
  test.each([
    [`${unet}.input_blocks.3.0.emb_layers.1.weight`, [64, 256], [128, 256]],
    [`${unet}.input_blocks.2.0.op.bias`, [63], [64]],
    [`${unet}.output_blocks.7.0.skip_connection.weight`, [64, 192, 3, 3], [64, 128]],
    [`${unet}.middle_block.1.transformer_blocks.0.attn2.to_v.weight`, [128, 768], [128, 64]],
    [`${unet}.time_embed.2.weight`, [256, 255], [256, 256]],
    ["first_stage_model.decoder.up.1.block.0.conv1.weight", [32, 65, 3, 3], [32, 64, 3, 3]],
    ["first_stage_model.encoder.down.3.block.0.nin_shortcut.weight", [128, 32, 1, 1], [128, 64]],
    ["first_stage_model.quant_conv.bias", [4], [8]],
    ["cond_stage_model.transformer.text_model.encoder.layers.2.mlp.fc2.weight", [64, 255], [64, 256]],
  ])("%s", async (name, shape, expected) => {
    await expect(withShapes({ [name]: shape })).rejects.toMatchObject({
      code: "CHECKPOINT_SHAPE",
      message: expect.stringContaining(`tensor "${name}" is [${shape}], expected [${expected}]`),
      hint: expect.stringContaining("looks like Stable Diffusion 1.x with 64 channels and a context of 64"),
    });
  });
  test("text encoder and U-Net of two models", async () => {
    const blocks = [
      "input_blocks.1",
      "input_blocks.3",
      "input_blocks.5",
      "middle_block",
      ...[2, 3, 4, 5, 6, 7].map((n) => `output_blocks.${n}`),
    ];
    const names = blocks.flatMap((block) =>
      ["k", "v"].map((which) => `${unet}.${block}.1.transformer_blocks.0.attn2.to_${which}.weight`),
    );
    const source = await openFile("checkpoints/limn-emoji.safetensors");
    const { tensors } = await openSafetensors(source);
    await source.close();
    const shapes = Object.fromEntries(names.map((name) => [name, [tensors.get(name)?.shape[0] ?? 0, 768]]));
    await expect(withShapes(shapes)).rejects.toThrow(/context/);
  });
});
