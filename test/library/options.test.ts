/** @file What callers without types give the library: each wrong value is named in a UsageError, and nothing stays behind. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Device, type GenerateOptions, type LoadOptions, MemorySource, StableDiffusion } from "../../model/index.ts";
import { createDevice, loadSmall, picture, rejection, small } from "../reliability/picture.ts";

let device: Device;
let model: StableDiffusion;
let live = 0;
beforeAll(async () => {
  device = await createDevice();
  model = await loadSmall(device);
  live = device.memory.liveBytes;
});
afterAll(() => device.close());

/** As JavaScript would call it. */
const untyped = <T>(value: unknown): T => value as T;

const image = { width: 1, height: 1, channels: 3, data: new Uint8Array(3) };
const wrong: Readonly<Record<string, readonly [options: unknown, code: string, message: string]>> = {
  "no object": ["abc", "INVALID_OPTION", 'options is the string "abc", not an object'],
  null: [null, "INVALID_OPTION", "options is null, not an object"],
  "a number as text": [{ width: "64" }, "INVALID_OPTION", 'width is the string "64", not a number'],
  "a seed as a number": [{ seed: 3 }, "INVALID_OPTION", "seed is 3, not a bigint"],
  "a negative seed": [{ seed: -1n }, "INVALID_SEED", "-1"],
  "a seed above 2^64 - 1": [{ seed: 1n << 64n }, "INVALID_SEED", "18446744073709551616"],
  "no AbortSignal": [{ signal: {} }, "INVALID_OPTION", "signal is an object, not an AbortSignal"],
  "an unknown value of a few": [{ rng: "cuda" }, "INVALID_OPTION", '"cpu", "philox" or "comfy"'],
  "an unknown program": [{ compat: "abc" }, "INVALID_OPTION", "compat"],
  "half a token": [{ commaBacktrack: 0.5 }, "INVALID_OPTION", "commaBacktrack is 0.5"],
  "half a seed": [{ seedDelta: 0.5 }, "INVALID_OPTION", "seedDelta is 0.5"],
  "an option within one": [{ hires: { scale: "2" } }, "INVALID_OPTION", 'hires.scale is the string "2"'],
  "what may not be left out": [{ init: {} }, "INVALID_OPTION", "init.image is undefined"],
  "deeper still": [{ init: { image, inpaint: { mask: { ...image, data: [1] } } } }, "INVALID_OPTION", "init.inpaint.mask.data"],
  "an element": [{ loras: [{}] }, "INVALID_OPTION", "loras[0].lora is undefined"],
  "no place in a batch": [{ batch: { index: 2, size: 2 } }, "INVALID_BATCH", "2 of 2"],
  "noise of another size": [{ noise: new Float32Array(255) }, "INVALID_NOISE", "255 values"],
  "a width beyond all": [{ width: 2 ** 53 }, "INVALID_WIDTH", "16384"],
  "noise of a size beyond all": [{ resizeFrom: { width: 1e9, height: 64 } }, "INVALID_SEED_RESIZE", "16384"],
};

describe("generate", () => {
  test.each(Object.entries(wrong))("%s", async (_, [options, code, message]) => {
    const given = typeof options === "object" && options ? { ...small, ...options } : options;
    const error = await rejection(model.generate("a red fox", untyped<GenerateOptions>(given)).next());
    expect(error).toMatchObject({
      name: "UsageError",
      code,
      message: expect.stringContaining(message),
      hint: expect.any(String),
    });
    await device.idle();
    expect(device.memory.liveBytes).toBe(live);
  });

  test.each([undefined, null, 5, {}])("the prompt %s", async (prompt) => {
    expect((await rejection(model.generate(untyped<string>(prompt), small).next())).code).toBe("INVALID_OPTION");
  });
});

describe("Device.create", () => {
  test.each([undefined, null, {}, "gpu"])("no GPU object: %s, as where a browser has no WebGPU", async (gpu) => {
    const error = await rejection(Device.create(untyped<GPU>(gpu)));
    expect(error).toMatchObject({ name: "AdapterError", code: "NO_ADAPTER", hint: expect.stringContaining("webgpu") });
  });

  test.each([{ precision: "abc" }, { tier: "abc" }, { patience: 0 }, { submitMillis: Number.NaN }, { hostThreads: "2" }, null])(
    "%o",
    async (options) => {
      expect((await rejection(createDevice(untyped<object>(options)))).code).toBe("INVALID_OPTION");
    },
  );
});

test.each([
  null,
  {},
  { device: {} },
  { vaePrecision: "abc" },
  { maxHeader: 0.5 },
  { onProgress: 1 },
  { vae: "a.safetensors" },
  { signal: {} },
])("load: %o", async (options) => {
  const given = options === null || "device" in options || Object.keys(options).length === 0 ? options : { device, ...options };
  const error = await rejection(StableDiffusion.load(new MemorySource(new Uint8Array(8)), untyped<LoadOptions>(given)));
  expect(error).toMatchObject({ name: "UsageError", code: "INVALID_OPTION", hint: expect.any(String) });
  expect(device.memory.liveBytes).toBe(live);
});

test("the same picture after all that", async () => {
  const [one, other] = [await picture(model), await picture(model)];
  expect(one.pixels).toEqual(other.pixels);
  expect(device.memory.liveBytes).toBe(live);
});
