/** @file Pictures made with a LoRA, an embedding, an upscaler and a hires pass, made again; the files renamed in between. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { decodePng } from "../../../cli/png/png.ts";
import { addonBytes, random } from "../../addons/small-model.ts";
import { rrdbNetwork } from "../../upscale/networks.ts";
import { build, errorLines, limn, ownCache, temporaryFolder } from "../limn.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const env = { ...ownCache(at("cache")), TMPDIR: tmpdir() };
const quick = ["-W", "64", "-H", "64", "-s", "2", "--seed", "3", "-q"];
const folders = ["--lora-dir", at("loras"), "--embedding-dir", at("embeddings"), "--model-dir", at("upscalers")];

/** Of the embedded model: its U-Net is 64 channels wide, its text encoder too. */
function writeNetworks(): void {
  for (const name of ["loras", "embeddings", "upscalers"]) mkdirSync(at(name));
  const key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  for (const name of ["style", "other"]) {
    const parts = { [`${key}.lora_up.weight`]: random(64, 4), [`${key}.lora_down.weight`]: random(4, 64) };
    writeFileSync(at(`loras/${name}.safetensors`), addonBytes(parts, { sshs_model_hash: "abcdef0123456789" }));
    writeFileSync(at(`embeddings/zebra ${name}.safetensors`), addonBytes({ emb_params: random(2, 64) }));
  }
  const network = rrdbNetwork({ features: 8, growth: 4, blocks: 1, doublings: 1, unshuffle: 1 });
  writeFileSync(at("upscalers/x2.safetensors"), addonBytes(Object.fromEntries(network)));
}

async function make(name: string, args: readonly string[]): Promise<Uint8Array> {
  const ran = await limn([...args, ...quick, "-o", at(name)], { env });
  if (ran.code !== 0) throw new Error(ran.stderr);
  return decodePng(readFileSync(at(name))).data;
}

async function reproduce(name: string): Promise<{ code: number | null; identical: boolean; files: [string, string, boolean][] }> {
  const ran = await limn(["reproduce", at(name), ...folders, "--json", "-q"], { env });
  if (ran.stdout.length === 0) throw new Error(ran.stderr);
  const { identical, files } = JSON.parse(ran.stdout.toString());
  const listed = files.map(({ kind, path, proved }: Record<string, unknown>) => [kind, path, proved]);
  return { code: ran.code, identical, files: listed.slice(1) };
}

describe("limn reproduce, with what was added to the model", () => {
  let plain: Uint8Array;
  beforeAll(async () => {
    build();
    writeNetworks();
    plain = await make("plain.png", ["a fox"]);
  }, 120_000);

  it("finds LoRAs of tags and of --lora, by hash where they were renamed", async () => {
    const tagged = await make("tagged.png", ["a fox<lora:style:0.9:0.7>", "--lora-dir", at("loras")]);
    await make("given.png", ["a fox", "--lora", `${at("loras/style.safetensors")}:0.9:0.7`]);
    expect(tagged).not.toEqual(plain);
    renameSync(at("loras/style.safetensors"), at("loras/renamed.safetensors"));
    // Another LoRA has its name now.
    renameSync(at("loras/other.safetensors"), at("loras/style.safetensors"));
    for (const name of ["tagged.png", "given.png"]) {
      const files = [["LoRA", at("loras/renamed.safetensors"), true]];
      expect(await reproduce(name)).toEqual({ code: 0, identical: true, files });
    }
  });

  it("finds embeddings, and lets no other file's name be one", async () => {
    const used = await make("embedding.png", ["a fox, zebra style, zebra other", "--embedding-dir", at("embeddings")]);
    expect(used).not.toEqual(await make("words.png", ["a fox, zebra style, zebra other"]));
    renameSync(at("embeddings/zebra style.safetensors"), at("embeddings/renamed.safetensors"));
    const again = await reproduce("embedding.png");
    expect([again.code, again.identical]).toEqual([0, true]);
    expect(again.files.map(([, path]) => path).sort()).toEqual([
      at("embeddings/renamed.safetensors"),
      at("embeddings/zebra other.safetensors"),
    ]);
    // A folder of embeddings means nothing to a picture made without one.
    expect(await reproduce("words.png")).toEqual({ code: 0, identical: true, files: [] });
  });

  it("makes hires passes again, on latents and with a network", async () => {
    const hires = [
      "--hires-scale",
      "1.5",
      "--hires-steps",
      "2",
      "--hires-denoise",
      "0.6",
      "--hires-prompt",
      "a red fox",
      "--tiling",
    ];
    await make("latent.png", ["a fox", ...hires, "--hires-upscaler", "latent-nearest", "--hires-sampler", "euler_a"]);
    expect(await reproduce("latent.png")).toEqual({ code: 0, identical: true, files: [] });
    await make("network.png", ["a fox", ...hires, "--hires-upscaler", at("upscalers/x2.safetensors")]);
    renameSync(at("upscalers/x2.safetensors"), at("upscalers/renamed.safetensors"));
    const files = [["upscaler", at("upscalers/renamed.safetensors"), true]];
    expect(await reproduce("network.png")).toEqual({ code: 0, identical: true, files });
  }, 300_000);

  it("names the hash and the folders where one is missing, exit code 4", async () => {
    const ran = await limn(["reproduce", at("tagged.png"), "--lora-dir", at("upscalers"), "-q"], { env });
    const { code, message, hint } = errorLines(ran.stderr);
    expect([ran.code, code, hint]).toEqual([4, "REPRODUCE_FILE", expect.stringContaining("--lora-dir")]);
    expect(message).toMatch(/the LoRA .*\(style, SHA-256 [0-9a-f]{64}\): it is not in .*upscalers/);
  });
});
