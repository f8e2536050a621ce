/** @file Textual inversions: every form of file, the family they are for, and which of a folder a prompt opens. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { listAddons } from "../../cli/addons/files.ts";
import { bundledEmbeddings } from "../../model/addons/bundled-embeddings.ts";
import { EmbeddingLibrary, embeddingFile } from "../../model/addons/embedding-library.ts";
import { readTextualInversion, vectorsFor } from "../../model/addons/textual-inversion.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { chunkPrompt, embeddingLookup } from "../../tokenizer/prompt/index.ts";
import { encode, open, safetensors, type TestTensor } from "../checkpoint/build-file.ts";

const saved = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../fixtures/pickle/${name}`, import.meta.url)));
const { vectors } = JSON.parse(new TextDecoder().decode(saved("expected.json"))) as { vectors: number[] };
const read = (bytes: Uint8Array, name = "fox") => readTextualInversion(new MemorySource(bytes, "fox.pt"), name);
const table = (name: string, shape: readonly number[], fill = 1): TestTensor => ({
  name,
  dtype: "F32",
  shape,
  bytes: encode(Array<number>(shape.reduce((product, size) => product * size, 1)).fill(fill), "F32", Number),
});

describe("forms of file", () => {
  test.each([
    ["web-ui.pt", 3],
    ["web-ui.older.pt", 3],
    ["diffusers.bin", 1],
  ])("%s", async (name, count) => {
    const one = await read(saved(name));
    expect([one.name, one.vectors, one.tables.map(({ width }) => width)]).toEqual(["fox", count, [8]]);
    expect([...vectorsFor(one, [8], 0)]).toEqual(vectors.slice(0, count * 8).map(Math.fround));
  });

  test("kohya's, in f16", async () => {
    const values = vectorsFor(await read(saved("kohya.pt")), [8], 0);
    for (const [i, value] of values.entries())
      expect(Math.abs(value - vectors[i]!)).toBeLessThan(2 ** -10 * Math.max(1, Math.abs(value)));
  });

  test("SDXL's: one table for each text encoder; the refiner has the second alone", async () => {
    const one = await read(saved("sdxl.pt"));
    expect([...vectorsFor(one, [8, 12], 0)]).toEqual(vectors.map(Math.fround));
    expect(vectorsFor(one, [8, 12], 1)).toHaveLength(3 * 12);
    expect(vectorsFor(one, [12], 0)).toEqual(vectorsFor(one, [8, 12], 1));
  });

  test("safetensors", async () => {
    expect((await read(safetensors([table("emb_params", [2, 8])]))).vectors).toBe(2);
    expect((await read(safetensors([table("<fox>", [8])]))).vectors).toBe(1);
    expect((await read(safetensors([table("clip_l", [2, 8]), table("clip_g", [2, 12])]))).tables).toHaveLength(2);
  });

  test("the hash is that of the whole file", async () => {
    const bytes = saved("web-ui.pt");
    expect((await read(bytes)).hash).toBe(createHash("sha256").update(bytes).digest("hex"));
  });
});

describe("files that are none", () => {
  test.each([
    ["a checkpoint", [table("a.weight", [2, 2]), table("b.weight", [2, 2])], "NOT_AN_EMBEDDING"],
    ["a convolution", [table("weight", [2, 2, 3, 3])], "NOT_AN_EMBEDDING"],
    ["nothing", [], "NOT_AN_EMBEDDING"],
    ["76 vectors", [table("emb_params", [76, 4])], "EMBEDDING_SHAPE"],
    ["no vector", [table("emb_params", [0, 4])], "EMBEDDING_SHAPE"],
    ["a scalar", [table("emb_params", [])], "EMBEDDING_SHAPE"],
    ["numbers of vectors that differ", [table("clip_l", [2, 4]), table("clip_g", [3, 8])], "EMBEDDING_SHAPE"],
    ["NaN", [table("emb_params", [1, 4], Number.NaN)], "CHECKPOINT_NONFINITE"],
    ["infinity", [table("emb_params", [1, 4], Number.POSITIVE_INFINITY)], "CHECKPOINT_NONFINITE"],
  ])("%s", async (_, tensors, code) => {
    await expect(read(safetensors(tensors))).rejects.toMatchObject({ code, hint: expect.any(String) });
  });

  test("a file of gigabytes is not read", async () => {
    const source = { name: "big.pt", size: 5e9, read: () => Promise.reject(new Error("read")) };
    await expect(readTextualInversion(source, "big")).rejects.toMatchObject({ code: "NOT_AN_EMBEDDING" });
  });

  test.each([
    [[768], [1024], /Stable Diffusion 1 \(768 wide\), this model is Stable Diffusion 2 \(1024 wide\)/],
    [[768], [768, 1280], /Stable Diffusion 1 \(768 wide\), this model is SDXL/],
    [[768, 1280], [768], /SDXL \(768\+1280 wide\), this model is Stable Diffusion 1/],
    [[768, 1280], [1024], /SDXL/],
    [[32], [768], /text encoders 32 wide/],
  ])("%j for a model of %j", async (made, model, message) => {
    const tensors =
      made.length === 2 ? [table("clip_l", [1, made[0]!]), table("clip_g", [1, made[1]!])] : [table("emb_params", [1, made[0]!])];
    const one = await read(safetensors(tensors));
    for (const encoder of model.keys()) {
      expect(() => vectorsFor(one, model, encoder)).toThrow(
        expect.objectContaining({ code: "EMBEDDING_FAMILY", message: expect.stringMatching(message) }),
      );
    }
  });
});

test("inside of a LoRA: read when named, after those of the folder", async () => {
  const tensors = [
    table("lora_unet_mid_block_resnets_0_conv1.lora_down.weight", [1, 4]),
    table("bundle_emb.s0.string_to_param.*", [2, 8]),
    table("bundle_emb.a.b style.clip_l", [1, 4]),
    table("bundle_emb.a.b style.clip_g", [1, 8]),
    table("bundle_emb.broken.string_to_param.*", [2, 2, 2]),
  ];
  const bundled = bundledEmbeddings(await open(safetensors(tensors), "style.safetensors"));
  expect(bundled.map(({ name }) => name)).toEqual(["s0", "a.b style", "broken"]);
  const own = embeddingFile("s0", async () => new MemorySource(safetensors([table("emb_params", [1, 8])])));
  const texts = ["s0 in A.B  style, broken"];
  const named = await new EmbeddingLibrary([]).namedIn(texts, bundled);
  expect(named.names).toEqual([
    { name: "s0", vectors: 2 },
    { name: "a.b style", vectors: 1 },
    { name: "broken", vectors: 1 },
  ]);
  expect(await named.vectors("a.b style", [4, 8], 1)).toHaveLength(8);
  await expect(named.vectors("broken", [8], 0)).rejects.toMatchObject({ code: "EMBEDDING_SHAPE" });
  expect(named.hash("s0")).toBeUndefined();
  const both = await new EmbeddingLibrary([own]).namedIn(texts, bundled);
  expect(both.names[0]).toEqual({ name: "s0", vectors: 1 });
  expect(both.id("s0")).not.toBe(named.id("s0"));
});

describe("out of a folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "limn-embeddings-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "in", "styles"), { recursive: true });
  writeFileSync(join(folder, "in", "red fox.pt"), saved("web-ui.pt"));
  writeFileSync(join(folder, "in", "styles", "Ink-(old).safetensors"), safetensors([table("emb_params", [2, 8])]));
  writeFileSync(join(folder, "in", "styles", "cat.bin"), "nonsense");
  writeFileSync(join(folder, "in", "readme.txt"), "");
  writeFileSync(join(folder, "secret.pt"), saved("kohya.pt"));
  symlinkSync(join(folder, "secret.pt"), join(folder, "in", "leak.pt"));
  symlinkSync(join(folder, "in", "red fox.pt"), join(folder, "in", "same.pt"));
  symlinkSync("nowhere.pt", join(folder, "in", "broken.pt"));

  const library = async () => {
    const opened: string[] = [];
    const files = await listAddons(join(folder, "in"), [".pt", ".bin", ".safetensors"]);
    const watched = files.map(({ name, path }) =>
      embeddingFile(name, async () => {
        opened.push(name);
        return new MemorySource(new Uint8Array(readFileSync(path)), path);
      }),
    );
    return { opened, names: files.map(({ name }) => name), library: new EmbeddingLibrary(watched) };
  };

  test("names: also of folders in it, no link that leads outside", async () => {
    expect((await library()).names.sort()).toEqual(["Ink-(old)", "cat", "red fox", "same"]);
  });

  test("a folder that is not there", async () => {
    await expect(listAddons(join(folder, "none"), [".pt"])).rejects.toMatchObject({ code: "FS_NOT_FOUND" });
  });

  test("only what the prompts name is opened, and once", async () => {
    const { opened, library: all } = await library();
    expect((await all.namedIn(["a dog", ""])).names).toEqual([]);
    const named = await all.namedIn(["a (RED  fox:1.2) in INK-\\(old\\) style"]);
    expect(named.names).toEqual([
      { name: "red fox", vectors: 3 },
      { name: "Ink-(old)", vectors: 2 },
    ]);
    await all.namedIn(["red fox"]);
    expect(opened).toEqual(["red fox", "Ink-(old)"]);
    const tokenizer = new ClipTokenizer();
    const [chunk] = chunkPrompt(tokenizer, "a (RED  fox:1.2) in INK-\\(old\\) style", {
      embeddings: embeddingLookup(tokenizer, named.names),
    });
    expect(chunk!.embeddings).toEqual([
      { name: "red fox", vectors: 3, offset: 2 },
      { name: "Ink-(old)", vectors: 2, offset: 6 },
    ]);
    expect(await named.vectors("red fox", [8], 0)).toHaveLength(24);
    expect(named.hash("red fox")).toHaveLength(64);
  });

  test("a broken file makes trouble only where its vectors are wanted", async () => {
    const named = await (await library()).library.namedIn(["a category of foxes"]);
    expect(named.names).toEqual([{ name: "cat", vectors: 1 }]);
    await expect(named.vectors("cat", [8], 0)).rejects.toMatchObject({ code: "ST_HEADER_TOO_LARGE" });
  });
});
