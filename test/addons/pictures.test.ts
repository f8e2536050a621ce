/** @file Textual inversions and hypernetworks in whole pictures of the embedded model. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { EmbeddingLibrary, embeddingFile } from "../../model/addons/embedding-library.ts";
import { openHypernetwork } from "../../model/addons/hypernetwork.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { type GenerateOptions, StableDiffusion } from "../../model/index.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { encode, safetensors } from "../checkpoint/build-file.ts";
import { dictOps, op, pickle, tensorOps, torchZip } from "../checkpoint/torch-writer.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedModel } from "../model/cases.ts";

let device: Device;
let model: StableDiffusion;
let tokens: Float32Array;
const width = 64;

beforeAll(async () => {
  device = await createDevice();
  const source = await openFile(embeddedModel);
  model = await StableDiffusion.load(source, { device });
  tokens = await readValues(
    await openSafetensors(source),
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
  );
}, 60_000);
afterAll(() => {
  model.free();
  expect(device.memory.liveBytes).toBe(0);
  device.close();
});

async function picture(prompt: string, options: GenerateOptions = {}) {
  const run = model.generate(prompt, { width: 64, height: 64, steps: 2, seed: 5n, ...options });
  for (;;) {
    const next = await run.next();
    if (next.done) return next.value;
  }
}

/** A textual inversion whose vectors are those of a word's tokens. */
function embeddingOf(word: string): Uint8Array {
  const ids = new ClipTokenizer().encode(word);
  const values = ids.flatMap((id) => [...tokens.slice(id * width, (id + 1) * width)]);
  return safetensors([{ name: "emb_params", dtype: "F32", shape: [ids.length, width], bytes: encode(values, "F32", Number) }]);
}

const library = (files: Readonly<Record<string, Uint8Array>>) =>
  new EmbeddingLibrary(
    Object.entries(files).map(([name, bytes]) => embeddingFile(name, async () => new MemorySource(bytes, name))),
  );

test("a textual inversion made of a word's vectors gives the word's picture", async () => {
  const texts = ["a (zorp style:1.2) on white", "smudge, zorp style"];
  const embeddings = await library({ "zorp style": embeddingOf("red fox"), zorp: embeddingOf("car") }).namedIn(texts);
  const same = await picture(texts[0]!, { embeddings, negative: texts[1] });
  const plain = await picture("a (red fox:1.2) on white", { negative: "smudge, red fox" });
  expect(Buffer.compare(same.pixels, plain.pixels)).toBe(0);
  expect([same.embeddings, plain.embeddings]).toEqual([["zorp style"], []]);
  // The same name with other vectors, in the same model: nothing of the first is kept.
  const renamed = await library({ "zorp style": embeddingOf("red car") }).namedIn(texts);
  const changed = await picture(texts[0]!, { embeddings: renamed, negative: texts[1] });
  expect(Buffer.compare(changed.pixels, same.pixels)).not.toBe(0);
  const other = await picture("a zorp on white", { embeddings });
  expect(Buffer.compare(other.pixels, (await picture("a car on white")).pixels)).toBe(0);
});

test("one of another family is an error when it is used", async () => {
  const bytes = safetensors([{ name: "emb_params", dtype: "F32", shape: [1, 768], bytes: new Uint8Array(3072) }]);
  const embeddings = await library({ zorp: bytes }).namedIn(["zorp"]);
  await expect(picture("zorp", { embeddings })).rejects.toMatchObject({ code: "EMBEDDING_FAMILY" });
});

/** {64: [net, net]}, each one matrix of `value` times the identity. */
function scaling(value: number): Uint8Array {
  const weight = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? value : 0));
  const matrix = tensorOps({ count: width * width, shape: [width, width], strides: [width, 1] });
  const bias = tensorOps({ key: "1", count: width, shape: [width], strides: [1] });
  const net = dictOps({ "linear.0.weight": matrix, "linear.0.bias": bias });
  const root = [op.emptyDict, op.mark, op.int(width), op.emptyList, op.mark, net, net, op.appends, op.setItems];
  return torchZip(pickle(...root), { 0: new Uint8Array(weight.buffer), 1: new Uint8Array(width * 4) });
}

test("a hypernetwork changes the picture, and is gone without a trace when it is not asked for", async () => {
  const open = (value: number) => openHypernetwork(new MemorySource(scaling(value), "h.pt"));
  const plain = await picture("a red fox");
  const hypernetwork = await open(0.5);
  const changed = await picture("a red fox", { hypernetworks: [{ hypernetwork, strength: 0.6 }] });
  expect(Buffer.compare(changed.pixels, plain.pixels)).not.toBe(0);
  const tagged = await picture("a red fox<hypernet:half:0.6>", { findHypernetwork: async () => hypernetwork });
  expect(Buffer.compare(tagged.pixels, changed.pixels)).toBe(0);
  expect(tagged.hypernetworks).toEqual([{ hypernetwork, strength: 0.6, tag: "half" }]);
  // c + s W c is the same for s W = 0.3 however it comes about.
  const half = await picture("a red fox", { hypernetworks: [{ hypernetwork: await open(0.3), strength: 1 }] });
  const most = half.latent.reduce((error, value, i) => Math.max(error, Math.abs(value - changed.latent[i]!)), 0);
  expect(most).toBeLessThan(1e-4);
  const zero = await picture("a red fox", { hypernetworks: [{ hypernetwork, strength: 0 }] });
  expect(Buffer.compare(zero.pixels, plain.pixels)).toBe(0);
});

test("a tag without a folder, a path in a tag, a strength that is none", async () => {
  await expect(picture("a fox <hypernet:x>")).rejects.toMatchObject({ code: "HYPERNET_DIR_MISSING" });
  for (const tag of ["<hypernet:../x>", "<hypernet:/etc/x:1>", "<hypernet:x:1,0>", "<hypernet:x:11>"]) {
    await expect(picture(`a fox ${tag}`)).rejects.toMatchObject({ code: "INVALID_PROMPT_TAG" });
  }
});
