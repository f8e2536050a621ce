/** @file Row 26: what can be wrong with a model in several files. */
import { describe, expect, test } from "vitest";
import { FileSystemError } from "../../engine/errors.ts";
import { type ByteSource, MemorySource } from "../../model/checkpoint/byte-source.ts";
import { JoinedSource } from "../../model/checkpoint/joined-source.ts";
import { openModelFile } from "../../model/checkpoint/open.ts";
import { openShards } from "../../model/checkpoint/shards.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { safetensors } from "./build-file.ts";
import { dictOps, op, pickle, tensorOps, torchZip } from "./torch-writer.ts";

const file = (...names: string[]): Uint8Array =>
  safetensors(names.map((name, i) => ({ name, dtype: "U8" as const, shape: [2], bytes: Uint8Array.of(name.charCodeAt(0), i) })));

const shards: Readonly<Record<string, Uint8Array>> = { "1.safetensors": file("a", "b"), "2.safetensors": file("c") };

async function beside(name: string): Promise<ByteSource> {
  const bytes = shards[name];
  if (bytes) return new MemorySource(bytes, name);
  throw new FileSystemError("FS_NOT_FOUND", `${name}: no such file`);
}

const index = (weightMap: unknown): ByteSource =>
  new MemorySource(
    new TextEncoder().encode(JSON.stringify({ metadata: { total_size: 6 }, weight_map: weightMap })),
    "m.index.json",
  );

const good = { a: "1.safetensors", c: "2.safetensors", b: "1.safetensors" };

test("tensors of all shards, in the index's order", async () => {
  const { tensors, source } = await openShards(index(good), beside);
  expect([...tensors.keys()]).toEqual(["a", "c", "b"]);
  for (const [name, place] of Object.entries({ a: 0, b: 1, c: 0 })) {
    expect([...(await readValues({ source, tensors, metadata: new Map(), headerBytes: 0 }, name))]).toEqual([
      name.charCodeAt(0),
      place,
    ]);
  }
});

test("a file source that can open its neighbours leads to the shards", async () => {
  const source = Object.assign(index(good), { beside });
  expect((await openModelFile(source)).tensors.size).toBe(3);
});

test("shards by torch.save are read as any pickle is, and refused where they would run code", async () => {
  const x = tensorOps({ count: 2, shape: [2], strides: [1] });
  const numbers = torchZip(pickle(dictOps({ x })), { 0: new Uint8Array(Float32Array.of(3, 5).buffer) });
  const harm = torchZip(pickle(op.global("os", "system"), op.mark, op.text("echo harm"), op.tuple, op.reduce));
  const pickles: Readonly<Record<string, Uint8Array>> = { "1.bin": numbers, "2.bin": harm };
  const both = async (name: string) => {
    const bytes = pickles[name];
    return bytes ? new MemorySource(bytes, name) : beside(name);
  };
  const file = await openShards(index({ x: "1.bin", c: "2.safetensors" }), both);
  expect([...(await readValues(file, "x"))]).toEqual([3, 5]);
  expect([...(await readValues(file, "c"))]).toEqual(["c".charCodeAt(0), 0]);
  await expect(openShards(index({ x: "1.bin", y: "2.bin" }), both)).rejects.toMatchObject({ code: "PICKLE_CODE" });
});

describe("refused", () => {
  test.each([
    ["a path upwards", { a: "../1.safetensors" }, "SHARD_NAME"],
    ["an absolute path", { a: "/etc/passwd" }, "SHARD_NAME"],
    ["a folder", { a: "sub/1.safetensors" }, "SHARD_NAME"],
    ["a backslash", { a: "sub\\1.safetensors" }, "SHARD_NAME"],
    ["two dots", { a: ".." }, "SHARD_NAME"],
    ["a file of another kind", { a: "pytorch_model.py" }, "SHARD_NAME"],
    ["a NUL", { a: "1\0.safetensors" }, "SHARD_NAME"],
    ["a missing shard", { ...good, d: "3.safetensors" }, "SHARD_MISSING"],
    ["a tensor in another shard", { ...good, c: "1.safetensors" }, "SHARD_TENSOR"],
    ["a tensor in no shard", { ...good, d: "1.safetensors" }, "SHARD_TENSOR"],
    ["too many shards", Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`t${i}`, `${i}.safetensors`])), "SHARD_COUNT"],
    ["a number for a name", { a: 1 }, "SHARD_INDEX"],
    ["a list for a map", [1], "ST_HEADER_JSON"],
  ])("%s", async (_, weightMap, code) => {
    const error: unknown = await openShards(index(weightMap), beside).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "ModelFileError", code, hint: expect.any(String) });
  });
  test.each([
    ["a name twice", '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}', "ST_DUPLICATE"],
    ["two maps", '{"weight_map":{},"weight_map":{}}', "ST_DUPLICATE"],
    ["cut short", '{"weight_map":{"a":"1.safe', "ST_HEADER_JSON"],
    ["a JSON file of another kind", '{"_class_name":"UNet2DConditionModel"}', "NOT_SAFETENSORS"],
  ])("%s", async (_, text, code) => {
    const source = Object.assign(new MemorySource(new TextEncoder().encode(text), "m.json"), { beside });
    await expect(openModelFile(source)).rejects.toMatchObject({ code, message: expect.stringContaining("m.json") });
  });
  test("a shard that is no safetensors file is named", async () => {
    const lost = openShards(index({ a: "1.safetensors" }), async (name) => new MemorySource(Uint8Array.of(1, 2, 3), name));
    await expect(lost).rejects.toMatchObject({ code: "ST_TOO_SMALL", message: expect.stringContaining("1.safetensors") });
  });
});

test("a joined source reads across its parts", async () => {
  const parts = [[1, 2, 3], [], [4], [5, 6]].map((bytes, i) => new MemorySource(Uint8Array.from(bytes), `${i}`));
  const joined = new JoinedSource("joined", parts);
  expect(joined.size).toBe(6);
  for (let begin = 0; begin <= 6; begin++)
    for (let end = begin; end <= 6; end++) {
      expect([...(await joined.read(begin, end))]).toEqual([1, 2, 3, 4, 5, 6].slice(begin, end));
    }
  expect(await joined.unchanged()).toBe(true);
  const changed = Object.assign(new MemorySource(new Uint8Array(1)), { unchanged: async () => false });
  expect(await new JoinedSource("joined", [...parts, changed]).unchanged()).toBe(false);
});
