/** @file Upscalers as torch saves them (.pth, both forms), against what torch made with them. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { openTensors } from "../../model/checkpoint/open-tensors.ts";
import { openSafetensors, type SafetensorsFile } from "../../model/checkpoint/safetensors.ts";
import { Upscaler } from "../../model/upscale/index.ts";
import { createDevice } from "../kernels/harness.ts";

const folder = new URL("../fixtures/upscaler/", import.meta.url);
const bytes = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const cases = bytes("cases.safetensors");
const file: SafetensorsFile = await openSafetensors(new MemorySource(cases, "cases.safetensors"));

/** [1, 3, H, W] -> RGB, pixel by pixel. */
function picture(name: string, factor: number) {
  const { shape, begin, end } = file.tensors.get(name)!;
  const values = new Float32Array(cases.slice(begin, end).buffer);
  const [, , height = 0, width = 0] = shape;
  const pixels = height * width;
  const data = Float32Array.from({ length: 3 * pixels }, (_, i) => factor * values[(i % 3) * pixels + Math.floor(i / 3)]!);
  return { width, height, data };
}

describe.each(["f32", "f16"] as const)("in %s", (precision) => {
  let device: Device | undefined;
  beforeAll(async () => {
    device = await createDevice({ precision }).catch(() => undefined);
  });
  afterAll(() => device?.close());

  test.for(["rrdb-x2", "srvgg-x2"])("%s.pth", async (name, { skip }) => {
    if (!device) return skip("this adapter has no f16");
    const upscaler = await Upscaler.load(await openTensors(new MemorySource(bytes(`${name}.pth`), `${name}.pth`)), device);
    const { width, height, data } = picture("image", 1);
    const made = await upscaler.upscale({ width, height, channels: 3, data: Uint8Array.from(data) });
    upscaler.free();
    const expected = picture(name, 255);
    expect([made.width, made.height]).toEqual([expected.width, expected.height]);
    const off = expected.data.reduce(
      (most, value, i) => Math.max(most, Math.abs(made.data[i]! - Math.min(Math.max(value, 0), 255))),
      0,
    );
    // Half a level is rounding; f16 has 11 bits, and a dozen layers one after the other.
    expect(off).toBeLessThan(device.storage === "f32" ? 0.505 : 2);
  });
});
