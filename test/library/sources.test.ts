/** @file Sources of a caller's own: what they must keep to, and that a signal ends a wait for one that does not answer. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlobSource, type ByteSource, type Device, StableDiffusion } from "../../model/index.ts";
import { createDevice, embeddedModel, picture, rejection, small } from "../reliability/picture.ts";

const file = new Uint8Array(readFileSync(embeddedModel));
let device: Device;
beforeAll(async () => {
  device = await createDevice();
});
afterAll(() => device.close());

function load(source: unknown, signal?: AbortSignal): Promise<StableDiffusion> {
  return StableDiffusion.load(source as ByteSource, { device, picture: small, ...(signal && { signal }) });
}

function source(changes: object): unknown {
  return { name: "own", size: file.length, read: async (begin: number, end: number) => file.slice(begin, end), ...changes };
}

/** Reads as `read` does once `after` reads have been answered well. */
function late(after: number, read: (begin: number, end: number) => unknown): unknown {
  let reads = 0;
  return source({ read: async (begin: number, end: number) => (reads++ < after ? file.slice(begin, end) : read(begin, end)) });
}

test.each([
  ["nothing", undefined, "openUrl"],
  ["a path", embeddedModel, "openAsBlob"],
  ["an address", new URL("https://example.org/a.safetensors"), "openUrl"],
  ["a Blob", new Blob([file]), "new BlobSource"],
  ["bytes", file, "new MemorySource"],
  ["a buffer", file.buffer, "new MemorySource"],
  ["no size", source({ size: Number.NaN }), "size"],
  ["no read", { name: "own", size: 5 }, "read"],
  ["a folder with a list of names", { name: "own", files: ["model.safetensors"], open: () => undefined }, "a Set"],
])("%s is no source, and the hint says how to make one", async (_, given, hint) => {
  const error = await rejection(load(given));
  expect(error).toMatchObject({ name: "UsageError", code: "INVALID_SOURCE", hint: expect.stringContaining(hint) });
});

describe.each([0, 6])("after %i good reads", (after) => {
  test.each([
    ["too few bytes", (begin: number, end: number) => file.slice(begin, end - 1)],
    ["too many", (begin: number, end: number) => file.slice(begin, end + 1)],
    ["another kind of bytes", (begin: number, end: number) => file.slice(begin, end).buffer],
    ["nothing", () => undefined],
  ])("%s: refused, not taken for weights", async (_, read) => {
    const error = await rejection(load(late(after, read)));
    expect(error).toMatchObject({ name: "ModelFileError", code: "SOURCE_READ" });
    expect(device.memory.liveBytes).toBe(0);
  });

  test("its own failure comes through", async () => {
    const own = new Error("offline");
    expect(await rejection(load(late(after, () => Promise.reject(own))))).toBe(own);
    expect(device.memory.liveBytes).toBe(0);
  });

  test("one that never answers: a signal ends the wait", async () => {
    const controller = new AbortController();
    const never = late(after, () => {
      setTimeout(() => controller.abort(), 20);
      return new Promise(() => {});
    });
    expect((await rejection(load(never, controller.signal))).name).toBe("AbortError");
    expect(device.memory.liveBytes).toBe(0);
  });
});

test("a signal that comes after loading ends nothing; one of a picture ends its wait for the file", async () => {
  const controller = new AbortController();
  let waits = false;
  const read = async (begin: number, end: number) => (waits ? new Promise(() => {}) : file.slice(begin, end));
  const model = await load(source({ read }), controller.signal);
  controller.abort();
  const live = device.memory.liveBytes;
  await picture(model, { negative: "blue" });
  waits = true;
  const signal = AbortSignal.timeout(50);
  expect((await rejection(picture(model, { negative: "words not looked up so far", signal }))).name).toBe("TimeoutError");
  await device.idle();
  expect(device.memory.liveBytes).toBe(live);
  model.free();
  expect(device.memory.liveBytes).toBe(0);
});

test("a Blob whose file can't be read any more", async () => {
  const gone = {
    size: 100,
    slice: () => ({ arrayBuffer: () => Promise.reject(new DOMException("changed", "NotReadableError")) }),
  };
  const error = await rejection(load(new BlobSource(gone as unknown as Blob, "gone")));
  expect(error).toMatchObject({ name: "FileSystemError", code: "FS_READ", hint: expect.any(String) });
});
