/** @file Upscalers against plain-loop twins; layouts; tiles. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Device, ModelFileError, UsageError } from "../../engine/index.ts";
import type { Raster } from "../../model/image/index.ts";
import { type UpscaleOptions, Upscaler } from "../../model/upscale/index.ts";
import { tileStarts } from "../../model/upscale/tiles.ts";
import { createDevice, uniform } from "../kernels/harness.ts";
import * as oracle from "../oracle/upscalers.ts";
import { fileOf, layouts, type Network, type RrdbCase, rrdbNetwork, srvggNetwork } from "./networks.ts";

const small: RrdbCase = { features: 8, growth: 4, blocks: 1, doublings: 1, unshuffle: 1 };

function randomPicture(width: number, height: number): Raster {
  return { width, height, channels: 3, data: Uint8Array.from({ length: 3 * width * height }, () => Math.floor(256 * uniform())) };
}

function planesOf({ width, height, data }: Raster) {
  return oracle.planes(3, height, width, (c, y, x) => data[3 * (y * width + x) + c]! / 255);
}

function bytesOf({ height, width, values }: ReturnType<typeof planesOf>): number[] {
  const pixels = height * width;
  return Array.from({ length: 3 * pixels }, (_, i) => {
    const value = values[(i % 3) * pixels + Math.floor(i / 3)]!;
    return 255 * Math.min(Math.max(value, 0), 1);
  });
}

describe("f32", () => {
  let device: Device;
  let live = 0;
  beforeAll(async () => {
    device = await createDevice({ precision: "f32" });
    live = device.memory.liveBytes;
  });
  afterEach(() => expect(device.memory.liveBytes, "live bytes").toBe(live));
  afterAll(() => device.close());

  async function enlarged(given: Network | ReturnType<typeof fileOf>, picture: Raster, options: UpscaleOptions = {}) {
    const file = await (given instanceof Promise ? given : fileOf(given));
    const upscaler = await Upscaler.load(file, device);
    try {
      const result = await upscaler.upscale(picture, options);
      expect([result.width, result.height]).toEqual([picture.width * upscaler.scale, picture.height * upscaler.scale]);
      return result;
    } finally {
      upscaler.free();
    }
  }

  /** Bytes are the numbers rounded: at most half a level off, and a little for f32. */
  function expectBytes(actual: Raster, expected: number[]): void {
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(actual.data[i]! - value)), 0);
    expect(worst).toBeLessThan(0.505);
    expect(new Set(actual.data).size).toBeGreaterThan(20); // not all black or white
  }

  test.for<RrdbCase>([
    { ...small, doublings: 2, blocks: 2, growth: 8, features: 12 }, //  x4
    { ...small, doublings: 0 }, //                                      x1
    { ...small, doublings: 3 }, //                                      x8
    { ...small, doublings: 2, unshuffle: 2 }, //                        Real-ESRGAN's x2
    { ...small, doublings: 2, unshuffle: 4 }, //                        and x1
    { ...small, plus: true }, //                                        ESRGAN+
  ])("RRDBNet %o", async (c) => {
    const network = rrdbNetwork(c);
    const picture = randomPicture(12, 8);
    expectBytes(await enlarged(network, picture), bytesOf(oracle.rrdb(planesOf(picture), network, c.unshuffle)));
  });

  test.for([1, 2, 4])("SRVGGNetCompact x%i", async (scale) => {
    const network = srvggNetwork({ features: 12, convolutions: 4, scale });
    const picture = randomPicture(9, 7);
    expectBytes(await enlarged(network, picture), bytesOf(oracle.srvgg(planesOf(picture), network, scale)));
  });

  test("sides that a network with unshuffled pixels does not divide are mirrored and cut", async () => {
    const network = rrdbNetwork({ ...small, unshuffle: 2, doublings: 2 });
    const picture = randomPicture(7, 5);
    const pixel = (x: number, y: number) => 3 * (Math.min(y, 8 - y) * 7 + Math.min(x, 12 - x));
    const whole = oracle.planes(3, 6, 8, (c, y, x) => picture.data[pixel(x, y) + c]! / 255);
    const expected = oracle.rrdb(whole, network, 2);
    const cut = oracle.planes(3, 10, 14, (c, y, x) => expected.values[(c * 12 + y) * 16 + x]!);
    expectBytes(await enlarged(network, picture), bytesOf(cut));
  });

  test("every layout of names is the same network", async () => {
    const network = rrdbNetwork({ ...small, blocks: 2, doublings: 2, plus: true });
    const picture = randomPicture(8, 8);
    const expected = await enlarged(network, picture);
    for (const layout of layouts) expect((await enlarged(fileOf(network, layout), picture)).data).toEqual(expected.data);
  });

  test("colours in the other order", async () => {
    const network = rrdbNetwork(small);
    const picture = randomPicture(8, 8);
    const swapped = (raster: Raster) => ({ ...raster, data: raster.data.map((_, i, all) => all[i + 2 - 2 * (i % 3)]!) });
    const expected = await enlarged(network, swapped(picture));
    expect((await enlarged(network, picture, { order: "bgr" })).data).toEqual(swapped(expected).data);
  });

  test("tiles: as the whole picture wherever no tile ends within sight of the network; no jump where one begins", async () => {
    const sight = 4; // four convolutions of 3 x 3
    const network = srvggNetwork({ features: 8, convolutions: sight, scale: 2 });
    const picture = randomPicture(90, 70);
    const whole = await enlarged(network, picture);
    const done: number[] = [];
    const options = { tile: 40, overlap: 8 };
    const tiled = await enlarged(network, picture, { ...options, onTile: (n, total) => done.push(n, total) });
    expect(done.slice(-2)).toEqual([6, 6]);
    const ends = (length: number) => {
      const { starts, size } = tileStarts(length, options);
      return starts.flatMap((start, i) => [...(i > 0 ? [start] : []), ...(start + size < length ? [start + size] : [])]);
    };
    const inSight = (length: number, x: number) => ends(length).some((end) => Math.abs(Math.floor(x / 2) + 0.5 - end) < sight);
    let [compared, worstSeam] = [0, 0];
    for (let i = 0; i < whole.data.length; i++) {
      const [x, y] = [Math.floor(i / 3) % whole.width, Math.floor(i / 3 / whole.width)];
      const off = Math.abs(whole.data[i]! - tiled.data[i]!);
      if (inSight(90, x) || inSight(70, y)) worstSeam = Math.max(worstSeam, off);
      else {
        expect(off).toBeLessThanOrEqual(1); // the shares of a fade are rounded once more
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(whole.data.length / 3);
    expect(worstSeam).toBeGreaterThan(0); // else the test would prove nothing
    console.info(`${compared} of ${whole.data.length} numbers away from seams; at seams at most ${worstSeam} levels off`);
  });

  test("what is no upscaler, a damaged one, and tiles that are none", async () => {
    const other = fileOf(new Map([["conv.weight", { shape: [1], values: new Float32Array(1) }]]));
    await expect(enlarged(other, randomPicture(8, 8))).rejects.toMatchObject({ code: "UPSCALER_UNSUPPORTED" });
    const network = rrdbNetwork(small);
    const wide = rrdbNetwork({ ...small, features: 6 });
    await expect(enlarged(wide, randomPicture(8, 8))).rejects.toThrow(/maps of 6 channels/);
    const [damaged, missing] = [new Map(network), new Map(network)];
    damaged.set("conv_hr.bias", { shape: [3], values: new Float32Array(3) });
    await expect(enlarged(damaged, randomPicture(8, 8))).rejects.toThrow(/"conv_hr.bias" is \[3\], expected \[8\]/);
    missing.delete("conv_body.weight");
    await expect(enlarged(missing, randomPicture(8, 8))).rejects.toMatchObject({ code: "CHECKPOINT_MISSING" });
    await expect(enlarged(damaged, randomPicture(8, 8))).rejects.toThrow(ModelFileError);
    await expect(enlarged(network, randomPicture(8, 8), { tile: 31 })).rejects.toThrow(UsageError);
    await expect(enlarged(network, randomPicture(8, 8), { tile: 32, overlap: 17 })).rejects.toThrow(/half a tile, 16/);
  });

  test("a tile that the adapter has no room for: the way out is a smaller one", async () => {
    const narrow = await createDevice({ precision: "f32", limits: { maxStorageBufferBindingSize: 49152 } });
    const upscaler = await Upscaler.load(await fileOf(rrdbNetwork({ ...small, features: 16 })), narrow);
    const refused = await upscaler.upscale(randomPicture(40, 40)).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "BINDING_TOO_LARGE", hint: expect.stringMatching(/smaller --tile/) });
    upscaler.free();
    narrow.close();
  });

  test("stops between tiles", async () => {
    const stop = new AbortController();
    const onTile = () => stop.abort(new Error("enough"));
    const running = enlarged(rrdbNetwork(small), randomPicture(80, 40), { tile: 40, onTile, signal: stop.signal });
    await expect(running).rejects.toThrow("enough");
  });
});

test("tiles cover a side, overlap enough and never leave it", () => {
  for (const length of [1, 30, 192, 193, 200, 376, 377, 1000]) {
    for (const [tile, overlap] of [
      [192, 8],
      [64, 0],
      [40, 20],
    ] as const) {
      const { starts, size } = tileStarts(length, { tile, overlap });
      expect(starts[0]).toBe(0);
      expect(starts.at(-1)! + size).toBe(length);
      for (const [i, start] of starts.slice(1).entries()) expect(starts[i]! + size - start).toBeGreaterThanOrEqual(overlap);
    }
  }
});
