/** @file `--lora`, `--lora-dir` and tags: the same picture either way, another one than without. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { decodePng, readPngTexts } from "../../cli/png/png.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { addonBytes, random } from "../addons/small-model.ts";
import { embeddedModel } from "../model/cases.ts";
import { build, errorLines, limn, temporaryFolder } from "./limn.ts";

const base = temporaryFolder();
const folder = join(base, "loras");
const quick = ["--seed", "3", "--steps", "1", "-W", "64", "-H", "64", "-q"];

/** A strong LoRA of one convolution for the embedded model. */
async function writeLora(path: string): Promise<void> {
  const source = await openFile(embeddedModel);
  const { tensors } = await openSafetensors(source);
  const [outputs = 0, inputs = 0] = tensors.get("model.diffusion_model.middle_block.0.in_layers.2.weight")?.shape ?? [];
  await source.close();
  const module = "lora_unet_mid_block_resnets_0_conv1";
  const parts = {
    [`${module}.lora_up.weight`]: random(outputs, 4, 1, 1),
    [`${module}.lora_down.weight`]: random(4, inputs, 3, 3),
  };
  writeFileSync(path, addonBytes(parts, { sshs_model_hash: "abcdef0123456789" }));
}

describe("LoRAs on the command line", () => {
  const file = join(folder, "my style.safetensors");
  const other = join(base, "other.safetensors");
  beforeAll(async () => {
    build();
    mkdirSync(folder);
    await writeLora(file);
    const module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
    writeFileSync(
      other,
      addonBytes({ [`${module}.lora_up.weight`]: random(320, 4), [`${module}.lora_down.weight`]: random(4, 2048) }),
    );
  });

  async function picture(name: string, args: readonly string[]) {
    const path = join(base, name);
    const ran = await limn([...args, ...quick, "-o", path]);
    expect(ran.code, ran.stderr).toBe(0);
    const bytes = readFileSync(path);
    return { pixels: Buffer.from(decodePng(bytes).data), text: readPngTexts(bytes).get("parameters") ?? "" };
  }

  it("by file and by tag give one picture, and the hash by which A1111 knows the LoRA", async () => {
    const plain = await picture("plain.png", ["a red fox"]);
    const byFile = await picture("file.png", ["a red fox", "--lora", `${file}:0.6:0.8`]);
    const byTag = await picture("tag.png", ["a red fox <lora:my style:0.6:0.8>", "--lora-dir", folder]);
    expect(byFile.pixels.equals(plain.pixels)).toBe(false);
    expect(byTag.pixels.equals(byFile.pixels)).toBe(true);
    for (const { text } of [byFile, byTag]) {
      expect(text.split("\n")[0]).toBe("a red fox <lora:my style:0.6:0.8>");
      expect(text).toContain('Lora hashes: "my style: abcdef012345"');
    }
    expect(plain.text).not.toContain("Lora");
  });

  it.each([
    ["a file that is not there", ["--lora", join(base, "none.safetensors")], 4, "FS_NOT_FOUND"],
    ["a strength out of range (fault 29)", ["--lora", `${file}:1e9`], 2, "INVALID_LORA"],
    ["another family (fault 30)", ["--lora", other], 3, "LORA_WRONG_FAMILY"],
    ["a checkpoint", ["--lora", embeddedModel], 3, "NOT_A_LORA"],
  ] as const)("refuses %s", async (_, args, code, name) => {
    const ran = await limn(["a red fox", ...args, ...quick, "-o", join(base, "never.png")]);
    expect([ran.code, errorLines(ran.stderr).code]).toEqual([code, name]);
  });

  it.each([
    ["a path (fault 28)", "<lora:../../x:1>", 2, "INVALID_PROMPT_TAG"],
    ["a name that no file has", "<lora:none:1>", 2, "LORA_UNKNOWN"],
    ["a strength (fault 29)", "<lora:my style:1,0>", 2, "INVALID_PROMPT_TAG"],
  ] as const)("refuses in a tag %s", async (_, tag, code, name) => {
    const ran = await limn([`a red fox ${tag}`, "--lora-dir", folder, ...quick, "-o", join(base, "never.png")]);
    expect([ran.code, errorLines(ran.stderr).code]).toEqual([code, name]);
  });

  it("refuses a tag without a folder, and names the option", async () => {
    const ran = await limn(["a red fox <lora:my style:1>", ...quick, "-o", join(base, "never.png")]);
    expect([ran.code, errorLines(ran.stderr).code]).toEqual([2, "LORA_DIR_MISSING"]);
    expect(errorLines(ran.stderr).hint).toContain("--lora-dir");
  });
});
