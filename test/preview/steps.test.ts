/** @file Previews and pictures that go round, with the embedded checkpoint. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import type { Raster } from "../../model/image/index.ts";
import type { GenerateOptions, StableDiffusion } from "../../model/index.ts";
import { latentColours, latentPreview } from "../../model/preview/index.ts";
import { normals } from "../kernels/random.ts";
import { createDevice, loadSmall, picture } from "../reliability/picture.ts";

let device: Device;
let model: StableDiffusion;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  model = await loadSmall(device);
});
afterAll(() => device.close());

const meanDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a, (value, i) => Math.abs(value - b[i]!)).reduce((sum, value) => sum + value, 0) / a.length;

/** RGBA [H, W] -> the mean colour of each 8 x 8 pixels. */
function shrunk({ width, height, pixels }: { width: number; height: number; pixels: Uint8Array }): number[] {
  const means = Array<number>((3 * width * height) / 64).fill(0);
  for (let i = 0; i < 4 * width * height; i++) {
    const [c, x, y] = [i % 4, Math.floor(i / 4) % width, Math.floor(i / 4 / width)];
    if (c < 3) means[3 * (Math.floor(y / 8) * (width / 8) + Math.floor(x / 8)) + c]! += pixels[i]! / 64;
  }
  return means;
}

describe("previews", () => {
  test.each(["dpmpp_2m", "ddim"])("with %s: they show the picture, and change nothing", async (sampler) => {
    const options: GenerateOptions = { width: 128, height: 128, steps: 6, sampler, seed: 3n };
    const plain = await picture(model, options);
    const live = device.memory.liveBytes;
    const run = model.generate("a red fox", { guidance: 4, ...options, previews: true });
    const looks: Raster[] = [];
    let whole: Raster | undefined;
    for (;;) {
      const next = await run.next();
      if (next.done) {
        expect(next.value.pixels).toEqual(plain.pixels);
        break;
      }
      const { step, steps, preview } = next.value;
      looks.push(await preview!.colours());
      expect(preview!.size).toMatchObject({ width: 128, height: 128 });
      if (step === steps - 1) whole = await preview!.decoded();
    }
    expect(device.memory.liveBytes).toBe(live);
    const target = shrunk(plain);
    const off = looks.map(({ width, height, data }) => {
      expect([width, height]).toEqual([16, 16]);
      return meanDifference(data, target);
    });
    console.info(`${sampler}: mean levels off by step ${off.map((value) => value.toFixed(0))}`);
    expect(off.at(-2)).toBeLessThan(45); // of 255; the fit's root mean square is 27
    expect(
      meanDifference(
        whole!.data,
        plain.pixels.filter((_, i) => i % 4 !== 3),
      ),
    ).toBeLessThan(25);
  });

  test("steps come without them unless they are asked for", async () => {
    for await (const step of model.generate("a red fox", { width: 64, height: 64, steps: 2, seed: 3n })) {
      expect(step.preview).toBeUndefined();
    }
  });

  test("the matrix: by hand", () => {
    const latent = Float32Array.of(1, 0.5, -1, 0.25, 0, 0, 0, 9);
    const [first, second] = [latentPreview(latent, { width: 2, height: 1 }, 0.18215).data, latentColours(0.18215)];
    const red = 0.3512 + 0.5 * 0.325 + 0.2829 - 0.25 * 0.212;
    expect(first[0]).toBe(Math.round((red + 1) * 127.5));
    expect([...first.subarray(3)]).toEqual([0, 0, 0]); // cut to 0..255
    expect(latentColours(0.5)).toBe(second); // unknown: SD's
    expect(latentColours(0.13025)).not.toBe(second);
  });
});

describe("pictures that go round", () => {
  const size = { width: 128, height: 128, steps: 2, sampler: "euler", seed: 3n };

  /** [4, 16, 16] with its rows and columns moved on by half. */
  const halfway = (noise: Float32Array) =>
    noise.map((_, i) => {
      const [c, y, x] = [Math.floor(i / 256), Math.floor(i / 16) % 16, i % 16];
      return noise[c * 256 + ((y + 8) % 16) * 16 + ((x + 8) % 16)]!;
    });

  /** How many levels a picture is off where it is moved on by half. */
  async function offset(options: GenerateOptions): Promise<number> {
    const noise = normals(4 * 256);
    const [plain, moved] = [
      await picture(model, { ...size, ...options, noise }),
      await picture(model, { ...size, ...options, noise: halfway(noise) }),
    ];
    let worst = 0;
    for (let y = 0; y < 128; y++) {
      for (let x = 0; x < 4 * 128; x++) {
        const from = ((y + 64) % 128) * 512 + ((x + 256) % 512);
        worst = Math.max(worst, Math.abs(plain.pixels[from]! - moved.pixels[y * 512 + x]!));
      }
    }
    return worst;
  }

  test("noise that is moved on by half makes a picture that is moved on by half", async () => {
    expect(await offset({ tiling: true })).toBeLessThanOrEqual(2); // sums come in another order
    expect(await offset({})).toBeGreaterThan(20);
  });

  test("also where the VAE decodes in tiles", async () => {
    const noise = normals(4 * 24 * 24);
    const options = { ...size, width: 192, height: 192, tiling: true, noise };
    const [whole, tiled] = [await picture(model, options), await picture(model, { ...options, vaeTile: 128 })];
    const edge = (pixels: Uint8Array) => pixels.filter((_, i) => i % 768 < 32 || i % 768 >= 736);
    const plain = await picture(model, { ...options, tiling: false, vaeTile: 128 });
    const [own, other] = [
      meanDifference(edge(whole.pixels), edge(tiled.pixels)),
      meanDifference(edge(whole.pixels), edge(plain.pixels)),
    ];
    console.info(`at the edges: ${own.toFixed(2)} levels off in tiles, ${other.toFixed(2)} where nothing goes round`);
    expect(own).toBeLessThan(other / 2);
  });
});
