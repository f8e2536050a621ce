import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { safetensors } from "../checkpoint/build-file.ts";
import { build, limn, root, temporaryFolder } from "./limn.ts";

const embedded = join(root, "checkpoints", "limn-emoji.safetensors");

describe("limn inspect", () => {
  beforeAll(build);
  const folder = temporaryFolder();

  it("tells family, configuration, tensors and metadata of a checkpoint", async () => {
    const [text, json] = await Promise.all([limn(["inspect", embedded]), limn(["inspect", embedded, "--json"])]);
    expect([text.code, json.code]).toEqual([0, 0]);
    const lines = text.stdout.toString().split("\n");
    expect(lines).toContainEqual("family      sd1");
    expect(lines).toContainEqual(expect.stringMatching(/^U-Net {7}channels 64, .* context 64$/));
    expect(lines).toContainEqual(
      expect.stringMatching(/^ {2}model\.diffusion_model +\d+ tensors +[\d,]+ parameters +[\d.]+ MB$/),
    );
    const report = JSON.parse(json.stdout.toString());
    expect(report).toMatchObject({
      family: "sd1",
      config: { unet: { contextDim: 64 } },
      metadata: { "ldm.config": expect.any(String) },
    });
    expect(report.tensors).toHaveLength(report.tensorCount);
    expect(report.parameters).toBe(
      report.tensors.reduce((sum: number, { shape }: { shape: number[] }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    );
  });

  it("says what a file is that is no model, and counts a LoRA's parts together", async () => {
    const file = join(folder, "foo.safetensors");
    const parts = ["lora_down.weight", "lora_up.weight"];
    const modules = ["lora_unet_mid_block_attentions_0_proj_in", "lora_te1_text_model_encoder_layers_0_mlp_fc1"];
    const tensors = modules.flatMap((module) =>
      parts.map((part) => ({ name: `${module}.${part}`, dtype: "F32" as const, shape: [4, 4], bytes: new Uint8Array(64) })),
    );
    writeFileSync(file, safetensors(tensors, { ss_network_dim: "4" }));
    const { code, stdout } = await limn(["inspect", file]);
    expect(code).toBe(0);
    const text = stdout.toString();
    expect(text).toMatch(/^family {6}unknown: .*this is a LoRA/m);
    expect(text).toMatch(/^ {2}lora_unet +2 tensors +32 parameters +0\.1 kB$/m);
    expect(text).toMatch(/^ {2}lora_te1 +2 tensors/m);
    expect(text).toContain("  ss_network_dim: 4\n");
  });

  it("shows what a checkpoint holds that lacks a tensor", async () => {
    const file = join(folder, "lacks.safetensors");
    const bytes = readFileSync(embedded);
    const at = bytes.indexOf('"model.diffusion_model.out.2.bias"');
    bytes.write('"model.diffusion_model.out.9.bias"', at); // of the same length, so that nothing moves
    writeFileSync(file, bytes);
    const { code, stdout } = await limn(["inspect", file]);
    expect(code).toBe(0);
    expect(stdout.toString()).toMatch(/^family {6}unknown: .*1 tensor is missing .* sd1: model\.diffusion_model\.out\.2\.bias$/m);
  });
});
