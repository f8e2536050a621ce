import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { type StandInFamily, standIn, standInFamilies } from "../../model/checkpoint/stand-in.ts";
import { readValues } from "../../model/checkpoint/values.ts";

/** Tensors and parameters of each part, as counted on the original architectures. Position ids are no parameters. */
const totals: Readonly<Record<StandInFamily, Readonly<Record<string, readonly [number, number]>>>> = {
  sd15: {
    "model.diffusion_model.": [686, 859_520_964],
    "first_stage_model.": [248, 83_653_863],
    "cond_stage_model.": [196, 123_060_480],
  },
  sd21: {
    "model.diffusion_model.": [686, 865_910_724],
    "first_stage_model.": [248, 83_653_863],
    "cond_stage_model.": [294, 354_032_641],
  },
  sdxl: {
    "model.diffusion_model.": [1680, 2_567_463_684],
    "first_stage_model.": [248, 83_653_863],
    "conditioner.embedders.0.": [196, 123_060_480],
    "conditioner.embedders.1.": [390, 694_659_841],
  },
  // Of the refiner the size of its file is known: 6,075,981,930 bytes with the header.
  "sdxl-refiner": {
    "model.diffusion_model.": [1220, 2_259_526_660],
    "first_stage_model.": [248, 83_653_863],
    "conditioner.embedders.0.": [390, 694_659_841],
  },
};

describe("stand-in", () => {
  for (const family of standInFamilies) {
    it(`${family}: every part has the original's tensors and parameters`, async () => {
      const file = await openSafetensors(standIn(family));
      for (const [prefix, [tensors, parameters]] of Object.entries(totals[family])) {
        const entries = [...file.tensors.values()].filter(
          ({ name }) => name.startsWith(prefix) && !name.endsWith("position_ids"),
        );
        expect([prefix, entries.length]).toEqual([prefix, tensors]);
        expect(entries.reduce((sum, { begin, end }) => sum + (end - begin) / 2, 0)).toBe(parameters);
        expect(new Set(entries.map(({ dtype }) => dtype))).toEqual(new Set(["F16"]));
      }
      const known = Object.keys(totals[family]);
      expect([...file.tensors.keys()].filter((name) => !known.some((prefix) => name.startsWith(prefix)))).toEqual([]);
    });
  }

  it.each([
    ["sd15", "sd1", "eps", [768]],
    ["sd21", "sd2", "v", [1024]],
    ["sdxl", "sdxl", "eps", [768, 1280]],
    ["sdxl-refiner", "sdxl-refiner", "eps", [1280]],
  ] as const)("%s is recognised as %s, predicting %s", async (family, expected, prediction, widths) => {
    const config = await readConfig(await openSafetensors(standIn(family)));
    expect(config).toMatchObject({ family: expected, variant: "base", prediction });
    expect(config.text.map(({ width }) => width)).toEqual(widths);
    expect(config.vae.hasEncoder).toBe(true);
  });

  it("has names and shapes of the originals", async () => {
    const { tensors } = await openSafetensors(standIn("sd15"));
    const shape = (name: string) => tensors.get(name)?.shape;
    expect(shape("model.diffusion_model.output_blocks.5.2.conv.weight")).toEqual([1280, 1280, 3, 3]);
    expect(shape("model.diffusion_model.output_blocks.2.1.conv.weight")).toEqual([1280, 1280, 3, 3]);
    expect(shape("model.diffusion_model.input_blocks.1.1.proj_in.weight")).toEqual([320, 320, 1, 1]);
    expect(shape("first_stage_model.decoder.up.1.block.0.nin_shortcut.weight")).toEqual([256, 512, 1, 1]);
    expect(tensors.get("cond_stage_model.transformer.text_model.embeddings.position_ids")).toMatchObject({
      dtype: "I64",
      shape: [1, 77],
    });
    expect(tensors.size).toBe(1131); // as v1-5-pruned-emaonly.safetensors
    expect((await openSafetensors(standIn("sdxl"))).tensors.size).toBe(2515); // as sd_xl_base_1.0.safetensors
  });

  it("gives the same bytes for the same seed, whatever ranges are read", async () => {
    const source = standIn("sd15", 7);
    const { tensors } = await openSafetensors(source);
    const begin = tensors.get("first_stage_model.decoder.conv_out.bias")!.begin - 1001; // three elements: odd alignment follows
    const whole = await source.read(begin, begin + 300_000);
    for (const [first, last] of [
      [0, 1],
      [1001, 1004],
      [1003, 1010],
      [999, 70_001],
      [131_073, 299_999],
    ] as const) {
      const part = await source.read(begin + first, begin + last);
      expect(Buffer.compare(part, whole.subarray(first, last))).toBe(0);
    }
    expect(Buffer.compare(await standIn("sd15", 7).read(begin, begin + 300_000), whole)).toBe(0);
    expect(Buffer.compare(await standIn("sd15", 8).read(begin, begin + 300_000), whole)).not.toBe(0);
    // A change of the generator would change what earlier measurements were taken on.
    expect(createHash("sha256").update(whole).digest("hex")).toMatchInlineSnapshot(
      `"91e3cf74ca7d8f83736cc5a61e47a67d143098cafa78e29dc75b46f674a86184"`,
    );
  });

  it("spreads weights by fan-in and residual branches less", async () => {
    const file = await openSafetensors(standIn("sd15"));
    const spread = async (name: string) => {
      const values = await readValues(file, name);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
    };
    const block = "model.diffusion_model.input_blocks.1";
    const matrix = await spread(`${block}.0.in_layers.2.weight`);
    expect(matrix.mean).toBeCloseTo(0, 3);
    expect(matrix.deviation * Math.sqrt(9 * 320)).toBeCloseTo(1, 2);
    const branch = await spread(`${block}.0.out_layers.3.weight`);
    expect(branch.deviation * Math.sqrt(9 * 320)).toBeCloseTo(0.25, 2);
    const gain = await spread(`${block}.1.norm.weight`);
    expect(gain.mean).toBeCloseTo(1, 1);
    expect(gain.deviation).toBeLessThan(0.1);
  });

  it("does not repeat itself within a tensor or between two", async () => {
    const file = await openSafetensors(standIn("sd15"));
    const at = (name: string) =>
      readValues(file, `model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.${name}.weight`);
    const [q, k] = [await at("to_q"), await at("to_k")];
    const correlation = (shift: number, other: Float32Array) => {
      const { length } = q;
      let [sum, own] = [0, 0];
      for (let i = 0; i < length; i++) {
        sum += q[i]! * other[(i + shift) % length]!;
        own += q[i]! * q[i]!;
      }
      return Math.abs(sum / own);
    };
    // 102,400 elements: a chance correlation is about 1/320.
    for (const shift of [1, 2, 320, 4096]) expect(correlation(shift, q)).toBeLessThan(0.02);
    for (const shift of [0, 1, 2, 320]) expect(correlation(shift, k)).toBeLessThan(0.02);
  });
});
