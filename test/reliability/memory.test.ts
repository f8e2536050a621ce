/** @file How much memory a picture takes, and that it takes no more with every further one. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import type { Device } from "../../engine/index.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { type ByteSource, StableDiffusion } from "../../model/index.ts";
import { skipped } from "../skip.ts";
import { createDevice, embeddedModel, loadSmall, picture, small } from "./picture.ts";

const tiny = fileURLToPath(new URL("../../../shared/fixtures/sd1-tiny.safetensors", import.meta.url));

describe("fifty pictures", () => {
  let device: Device;
  let model: StableDiffusion;
  beforeAll(async () => {
    device = await createDevice({ precision: "f32" });
    model = await loadSmall(device);
  });
  afterAll(() => device.close());

  test("live and total bytes are as after the first, RSS grows by less than 1 %", async () => {
    const seen = new Set<number>();
    /** With garbage collected often: what V8 keeps in reserve is no leak, and hides one. */
    const make = async (count: number): Promise<{ rss: number; heapUsed: number }> => {
      for (let i = 1; i <= count; i++) {
        await picture(model, { steps: 1, guidance: 1 });
        seen.add(device.memory.liveBytes);
        if (i % 5 === 0) await settle();
      }
      return process.memoryUsage();
    };
    const first = await make(40); // the driver's and V8's own warm-up
    const { totalBytes } = device.memory;
    const last = await make(50);
    expect([...seen]).toEqual([device.memory.liveBytes]);
    expect(device.memory.totalBytes).toBe(totalBytes);
    const growth = last.rss / first.rss - 1;
    console.info(`RSS after 50 pictures: ${(100 * growth).toFixed(2)} % more`);
    expect(growth).toBeLessThan(0.01);
    expect(last.heapUsed - first.heapUsed).toBeLessThan(1e6);
  });

  test("another size and back: nothing stays", async () => {
    await picture(model);
    const { totalBytes, liveBytes } = device.memory;
    await picture(model, { width: 128, steps: 1 });
    await picture(model);
    expect(device.memory.liveBytes).toBe(liveBytes);
    // Small buffers of the other size wait in the pool.
    expect(device.memory.totalBytes).toBeLessThan(1.01 * totalBytes);
  });
});

/** The embedded model with every width multiplied, all zero: its bytes are made when they are read. */
async function widened(factor: number): Promise<ByteSource> {
  const fixed = [77, 49408];
  const file = await openFile(embeddedModel);
  const { tensors } = await openSafetensors(file);
  await file.close();
  let end = 0;
  const header: Record<string, object> = {};
  for (const { name, shape } of tensors.values()) {
    const wide = shape.map((size) => (size < 32 || fixed.includes(size) ? size : factor * size));
    const begin = end;
    end += 2 * wide.reduce((product, size) => product * size, 1);
    header[name] = { dtype: "F16", shape: wide, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8 + text.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(text.length), true);
  head.set(text, 8);
  return {
    name: "zeros.safetensors",
    size: head.length + end,
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      if (begin < head.length) bytes.set(head.subarray(begin, Math.min(end, head.length)));
      return bytes;
    },
  };
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Buffers of dead objects are given back a turn later. */
async function settle(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("GPU bytes are at most 1.10 x (weights + planned activations)", () => {
  test.for([
    ["the embedded model", embeddedModel],
    ["sd1-tiny", tiny],
  ] as const)("%s", async ([, path], { skip }) => {
    if (skipped("memory of a small SD 1", !existsSync(path) && `no ${path}`)) skip();
    const device = await createDevice({ precision: "f32" });
    const model = await loadSmall(device, { path });
    await picture(model);
    const { peakBytes } = device.memory;
    const weightsAndActivations = model.model.bytes + device.activationBytes;
    console.info(`${peakBytes} of ${weightsAndActivations}: ${(peakBytes / weightsAndActivations).toFixed(4)}`);
    expect(peakBytes).toBeLessThanOrEqual(1.1 * weightsAndActivations);
    expect(peakBytes).toBeLessThanOrEqual(model.plannedBytes);
    expect(model.plannedBytes).toBeLessThanOrEqual(1.1 * peakBytes);
    device.close();
  });
});

describe("the JS heap while loading is at most 200 MB", () => {
  /** Loads, and samples heap and array buffers at every read of the file. */
  async function peaks(source: ByteSource): Promise<{ heap: number; buffers: number }> {
    const device = await createDevice({ precision: "f32" });
    const peak = { heap: 0, buffers: 0 };
    const before = process.memoryUsage().arrayBuffers;
    const look = (): void => {
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      peak.heap = Math.max(peak.heap, heapUsed);
      peak.buffers = Math.max(peak.buffers, arrayBuffers - before);
    };
    const watched: ByteSource = {
      name: source.name,
      size: source.size,
      read(begin, end) {
        look();
        return source.read(begin, end);
      },
    };
    const model = await StableDiffusion.load(watched, { device, picture: small, onProgress: look });
    model.free();
    expect(device.memory.liveBytes).toBe(0);
    device.close();
    console.info(`heap ${Math.round(peak.heap / 1e6)} MB, array buffers ${Math.round(peak.buffers / 1e6)} MB`);
    return peak;
  }

  test("the embedded file", async () => {
    const file = await openFile(embeddedModel);
    const { heap, buffers } = await peaks(file);
    await file.close();
    expect(heap).toBeLessThan(200e6);
    expect(buffers).toBeLessThan(200e6);
  });

  test("a model of the same make, three times as wide: 238 MB of zeros", async () => {
    const file = await widened(3);
    expect(file.size).toBeGreaterThan(200e6);
    const { heap, buffers } = await peaks(file);
    expect(heap).toBeLessThan(200e6);
    expect(buffers).toBeLessThan(200e6);
  });
});
