/** @file Pictures with LoRAs through one loaded model: merged, changed, taken off again. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { type Device, sizeClass } from "../../engine/index.ts";
import { type GenerateOptions, type LoraFile, StableDiffusion } from "../../model/index.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedModel } from "../model/cases.ts";
import { addon, random } from "./small-model.ts";

describe("pictures", () => {
  let device: Device;
  let model: StableDiffusion;
  let source: Awaited<ReturnType<typeof openFile>>;
  let unet: LoraFile;
  let text: LoraFile;
  beforeAll(async () => {
    device = await createDevice();
    source = await openFile(embeddedModel);
    model = await StableDiffusion.load(source, { device });
    const { tensors } = model.model.checkpoints[0]!.file;
    const pair = (key: string, name: string) => {
      const [outputs = 0, inputs = 0, ...window] = tensors.get(name)!.shape;
      return addon({
        [`${key}.lora_up.weight`]: random(outputs, 4, ...window.map(() => 1)),
        [`${key}.lora_down.weight`]: random(4, inputs, ...window),
      });
    };
    unet = await pair("lora_unet_mid_block_resnets_0_conv1", "model.diffusion_model.middle_block.0.in_layers.2.weight");
    const { prefix } = model.config.text[0]!;
    text = await pair("lora_te_text_model_encoder_layers_0_mlp_fc1", `${prefix}.encoder.layers.0.mlp.fc1.weight`);
  });
  afterAll(async () => {
    model.free();
    device.close();
    await source.close();
  });

  async function make(options: GenerateOptions = {}, prompt = "a red fox") {
    const generation = model.generate(prompt, { seed: 3n, steps: 2, width: 64, height: 64, ...options });
    let next = await generation.next();
    while (!next.done) next = await generation.next();
    return next.value;
  }
  const pixels = async (options: GenerateOptions = {}, prompt?: string) => Buffer.from((await make(options, prompt)).pixels);
  const isSame = (a: Buffer, b: Buffer) => a.equals(b);

  it("differ with a LoRA, and are bit for bit the old ones without it", async () => {
    const plain = await pixels();
    const live = device.memory.liveBytes;
    const merged = await pixels({ loras: [{ lora: unet, text: 1, unet: 0.8 }] });
    expect(isSame(merged, plain)).toBe(false);
    // The one weight that it changes is f32 from now on; there is no second copy of any.
    const weight = model.model.checkpoints[0]!.targets.find(({ label }) => label.includes("middle_block.0.in_layers.2.weight"))!;
    expect(weight.dtype).toBe("f32");
    const [narrow, wide] = [2, 4].map((bytes) => sizeClass(bytes * weight.tensor.size)) as [number, number];
    expect(device.memory.liveBytes).toBe(live + (device.features.has("shader-f16") ? wide - narrow : 0));
    expect(isSame(await pixels({ loras: [{ lora: unet, text: 1, unet: 0.8 }] }), merged)).toBe(true);
    expect(isSame(await pixels({ loras: [{ lora: unet, text: 1, unet: 0.4 }] }), merged)).toBe(false);
    expect(isSame(await pixels(), plain)).toBe(true);
  });

  it("are those of a model whose weights are f32 from the start", async () => {
    const loras = [{ lora: unet, text: 1, unet: 0.8 }];
    const merged = await pixels({ loras });
    const other = await createDevice({ withhold: ["shader-f16"] });
    const wide = await StableDiffusion.load(source, { device: other });
    try {
      const targets = wide.model.checkpoints[0]!.targets;
      expect(targets.every(({ dtype }) => dtype === "f32")).toBe(true);
      const generation = wide.generate("a red fox", { seed: 3n, steps: 2, width: 64, height: 64, loras });
      let next = await generation.next();
      while (!next.done) next = await generation.next();
      expect(isSame(Buffer.from(next.value.pixels), merged)).toBe(true);
    } finally {
      wide.free();
      other.close();
    }
  });

  it("are encoded anew when the text encoder changes, though the prompt does not", async () => {
    const plain = await pixels();
    const merged = await pixels({ loras: [{ lora: text, text: 1, unet: 0 }] });
    expect(isSame(merged, plain)).toBe(false);
    expect(isSame(await pixels({ loras: [{ lora: text, text: 0, unet: 1 }] }), plain), "strength 0").toBe(true);
    expect(isSame(await pixels(), plain)).toBe(true);
  });

  it("take LoRAs from tags, after those of the options; the text is without them", async () => {
    const names = new Map([
      ["one", unet],
      ["two", text],
    ]);
    const findLora = async (name: string) => names.get(name)!;
    const tagged = await make(
      { findLora, loras: [{ lora: unet, text: 0.1, unet: 0.1 }] },
      "a red fox<lora:two:0.5><lora:one:0.2:0.3>",
    );
    expect(tagged.loras).toEqual([
      { lora: unet, text: 0.1, unet: 0.1 },
      { lora: text, text: 0.5, unet: 0.5, tag: "two" },
      { lora: unet, text: 0.2, unet: 0.3, tag: "one" },
    ]);
    const given = [
      { lora: unet, text: 0.1 + 0.2, unet: 0.1 + 0.3 },
      { lora: text, text: 0.5, unet: 0.5 },
    ];
    expect(isSame(Buffer.from(tagged.pixels), await pixels({ loras: given }))).toBe(true);
  });

  it("say that a tag in the negative prompt does nothing", async () => {
    const { warnings, loras } = await make({ negative: "ugly <lora:one:1>" });
    expect([warnings, loras]).toEqual([[expect.stringContaining("negative prompt")], []]);
  });

  it("of a failed merge leave the next picture as it should be", async () => {
    const plain = await pixels();
    const other = await addon({
      "lora_unet_nowhere.lora_up.weight": random(4, 4),
      "lora_unet_nowhere.lora_down.weight": random(4, 4),
    });
    await expect(make({ loras: [{ lora: other, text: 1, unet: 1 }] })).rejects.toMatchObject({ code: "LORA_NO_MATCH" });
    await expect(make({ loras: [{ lora: unet, text: 1, unet: Number.POSITIVE_INFINITY }] })).rejects.toMatchObject({
      code: "LORA_NONFINITE",
    });
    expect(isSame(await pixels(), plain)).toBe(true);
  });
});
