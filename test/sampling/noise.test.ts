import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rulesOf } from "../../model/sampling/compatibility.ts";
import { LatentNoise } from "../../model/sampling/latent-noise.ts";
import { BrownianTree, roundTime } from "../../model/sampling/rng/brownian-tree.ts";
import { PhiloxGenerator } from "../../model/sampling/rng/philox.ts";
import { seedSequence } from "../../model/sampling/rng/seed-sequence.ts";
import { TorchCpuGenerator } from "../../model/sampling/rng/torch-cpu.ts";
import { pasteCentred, slerp } from "../../model/sampling/variation.ts";
import { compare } from "./recorded.ts";

const TOLERANCE = 2e-6;
const small = { height: 8, width: 8 };

/** One image's noise back in the order [C,H,W]. */
function planes(noise: Float32Array, pixels: number, channels = 4): Float32Array {
  return noise.map((_, i) => noise[(i % pixels) * channels + Math.floor(i / pixels)]!);
}

describe("SeedSequence", () => {
  // numpy 2.4 with pool_size 24.
  it.each([
    [42n, [], [387750627, 2536650517, 4078839648, 2023786165]],
    [42n, [0, 0], [2102017995, 2891809698, 2144110403, 379559146]],
    [42n, [1, 1], [1058881542, 1039740124, 2218853409, 2234354429]],
    [42n, [5, 3], [3084123560, 468215949, 242942938, 2650128260]],
    [0n, [], [4025752534, 2687548107, 2326983537, 1576567101]],
    [2n ** 40n + 5n, [], [2754131497, 939655175, 291804590, 2314777882]],
  ] as const)("%s, spawned %j", (entropy, spawnKey, expected) => {
    expect([...seedSequence(entropy, spawnKey, { poolSize: 24, count: 4 })]).toEqual(expected);
  });
});

describe("Brownian tree", () => {
  const tree = (count = 256) =>
    new BrownianTree({
      seed: 42n,
      count,
      begin: 0.0292,
      end: 14.614642,
      makeGenerator: (seed) => new TorchCpuGenerator(seed),
    });

  // torchsde on a CPU, shape (4, 8, 8): W(low, high)/sqrt(high - low).
  it.each([
    [14.614642, 9, [1.050568, -0.6751439, -0.7909897, -0.2152]],
    [9, 5.2, [-0.1629113, 1.107188, 0.161993, -1.572817]],
    [5.2, 2.3, [0.8347757, -0.2863907, 0.533329, 1.283231]],
    [2.3, 1.1, [0.3297868, 0.7705096, 0.6533278, -2.404133]],
    [1.1, 0.5, [0.7691709, -1.231131, -1.273518, 0.4084627]],
    [0.5, 0.2, [0.2965757, 1.310547, 0.008365999, 0.4889379]],
    [0.2, 0.0292, [-0.719319, 0.3818911, 0.7176518, -0.8882799]],
  ] as const)("gives torchsde's increments, %f to %f", (high, low, expected) => {
    const upwards = tree().between(low, high).slice(0, 4);
    expect(compare(upwards, expected).maxAbsError).toBeLessThanOrEqual(TOLERANCE);
    const downwards = tree().between(high, low).slice(0, 4);
    expect([...downwards]).toEqual([...upwards].map((value) => -value));
  });

  it("gives one path however it is asked", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.03, max: 14.6, noNaN: true }), { minLength: 3, maxLength: 3 }), (times) => {
        const [low, middle, high] = times.map((time) => Math.fround(time)).sort((a, b) => a - b) as [number, number, number];
        fc.pre(middle - low > 1e-3 && high - middle > 1e-3);
        const path = tree(16);
        const whole = path.between(low, high).map((value) => value * Math.sqrt(high - low));
        const parts = path.between(low, middle).map((value) => value * Math.sqrt(middle - low));
        const rest = tree(16).between(middle, high);
        const sum = parts.map((value, i) => value + rest[i]! * Math.sqrt(high - middle));
        expect(compare(sum, whole).maxAbsError).toBeLessThanOrEqual(1e-5);
      }),
      { numRuns: 20 },
    );
  });

  it("holds times beyond its ends", () => {
    const [beyond, end] = [tree().between(20, 1), tree().between(14.614642, 1)];
    expect(beyond[0]! * Math.sqrt(19)).toBeCloseTo(end[0]! * Math.sqrt(13.614642), 5);
  });

  it.each([
    [0.0078125, 0.007812],
    [0.0234375, 0.023438],
    [7.3219045, 7.321904],
    [0.1234565, 0.123456],
    [14.614642143249512, 14.614642],
  ])("rounds time %f as Python does, to %f", (time, rounded) => {
    expect(roundTime(time)).toBe(rounded);
  });
});

describe("latent noise", () => {
  it("of a batch is each seed's own, also after the first draw", () => {
    const both = new LatentNoise({ seed: 7n, batch: 2, source: "philox" }, small);
    const alone = [7n, 8n].map((seed) => new LatentNoise({ seed, source: "philox" }, small));
    for (let draw = 0; draw < 3; draw++) expect([...both.next()]).toEqual(alone.flatMap((noise) => [...noise.next()]));
  });

  it("of one generator for the batch continues its stream", () => {
    const noise = new LatentNoise({ seed: 7n, batch: 2, generators: "batch" }, small).next();
    const stream = new TorchCpuGenerator(7n).randn(512);
    expect([...planes(noise.slice(0, 256), 64), ...planes(noise.slice(256), 64)]).toEqual([...stream]);
  });

  it("of ComfyUI is a CPU's first and a CUDA device's after it", () => {
    const noise = new LatentNoise({ seed: 7n, source: "comfy" }, small);
    expect([...planes(noise.next(), 64)]).toEqual([...new TorchCpuGenerator(7n).randn(256)]);
    const steps = new PhiloxGenerator(7n);
    for (let draw = 0; draw < 2; draw++) expect([...planes(noise.next(), 64)]).toEqual([...steps.randn(256)]);
  });

  it("begins again at seed + delta after the first draw", () => {
    const noise = new LatentNoise({ seed: 7n, seedDelta: 31337 }, small);
    expect([...planes(noise.next(), 64)]).toEqual([...new TorchCpuGenerator(7n).randn(256)]);
    const steps = new TorchCpuGenerator(31344n);
    for (let draw = 0; draw < 2; draw++) expect([...planes(noise.next(), 64)]).toEqual([...steps.randn(256)]);
  });

  it("is Brownian between sigmas, a tree of each image's seed", () => {
    const noise = new LatentNoise({ seed: 42n, batch: 2, brownian: { sigmaMin: 0.0292, sigmaMax: 14.614642 } }, small);
    noise.next();
    const step = noise.between(9, 5.2);
    expect(
      compare(planes(step.slice(0, 256), 64).slice(0, 4), [0.1629113, -1.107188, -0.161993, 1.572817]).maxAbsError,
    ).toBeLessThan(TOLERANCE);
    const other = new LatentNoise({ seed: 43n, brownian: { sigmaMin: 0.0292, sigmaMax: 14.614642 } }, small);
    expect(step.slice(256)).toEqual(other.between(9, 5.2));
  });

  it("between sigmas is the next draw, where nothing asks for Brownian noise", () => {
    const plain = new LatentNoise({ seed: 3n }, small);
    plain.next();
    const next = new LatentNoise({ seed: 3n }, small);
    next.next();
    expect(plain.between(5, 2)).toEqual(next.next());
  });
});

describe("variation", () => {
  const low = { channels: 2, height: 3, width: 2, values: Float32Array.of(1, 2, 3, -1, 0.5, 0.25, 0, 1, 2, 1, -1, 3) };
  const high = { ...low, values: Float32Array.of(0.5, -2, 1, 1, 2, 0.5, 1, 1, -2, 0, 0.25, 1) };

  it("goes over spheres column by column, as A1111's slerp", () => {
    // A1111's function in numpy.
    const expected = [
      0.9241904, 1.0806436, 2.6017977, -0.5403218, 1.059802, 1.856633, 1.3048447, 1.0326965, 1.0263643, 0.7184791, -1.4918157,
      2.4696547,
    ];
    expect(compare(slerp(0.3, low, high).values, expected).maxAbsError).toBeLessThanOrEqual(1e-6);
  });

  it("between the same noise is that noise", () => {
    expect(compare(slerp(0.3, low, low).values, low.values).maxAbsError).toBeLessThanOrEqual(1e-6);
  });

  it("at strength 0 and 1 is one seed's and the other's", () => {
    const [own, other] = [5n, 9n].map((seed) => new LatentNoise({ seed }, small).next()) as [Float32Array, Float32Array];
    const varied = (strength: number) => new LatentNoise({ seed: 5n, variation: { seed: 9n, strength } }, small).next();
    expect(varied(0)).toEqual(own);
    expect(compare(varied(1), other).maxAbsError).toBeLessThanOrEqual(1e-6);
  });

  it("keeps the seed for all images and counts the variation's seed up", () => {
    const both = new LatentNoise({ seed: 5n, batch: 2, variation: { seed: 9n, strength: 0.4 } }, small);
    const second = new LatentNoise({ seed: 5n, variation: { seed: 10n, strength: 0.4 } }, small);
    expect(both.next().slice(256)).toEqual(second.next());
    // The steps' noise is the seed's own.
    expect(both.next().slice(256)).toEqual(second.next());
  });

  it.each([-0.1, 1.5, Number.NaN])("refuses strength %s", (strength) => {
    expect(() => new LatentNoise({ seed: 5n, variation: { seed: 9n, strength } }, small)).toThrow(
      expect.objectContaining({ code: "INVALID_VARIATION_STRENGTH" }),
    );
  });
});

describe("noise of another size", () => {
  const image = (height: number, width: number, first: number) => ({
    channels: 1,
    height,
    width,
    values: Float32Array.from({ length: height * width }, (_, i) => first + i),
  });

  it("is put into the middle", () => {
    const { values } = pasteCentred(image(4, 5, 100), image(2, 2, 0));
    expect([...values]).toEqual([
      ...[100, 101, 102, 103, 104],
      ...[105, 0, 1, 108, 109],
      ...[110, 2, 3, 113, 114],
      ...[115, 116, 117, 118, 119],
    ]);
  });

  it("is cut to its middle where it is larger", () => {
    expect([...pasteCentred(image(2, 2, 100), image(4, 4, 0)).values]).toEqual([5, 6, 9, 10]);
  });

  it("surrounds itself with the seed's own", () => {
    const noise = new LatentNoise({ seed: 5n, resizeFrom: { height: 4, width: 4 } }, small).next();
    const [inner, outer] = [new TorchCpuGenerator(5n).randn(64), new TorchCpuGenerator(5n).randn(256)];
    const result = planes(noise, 64);
    expect(result[0]).toBe(outer[0]);
    expect(result[2 * 8 + 2]).toBe(inner[0]);
    expect(result[64 + 5 * 8 + 5]).toBe(inner[16 + 15]);
  });
});

describe("compatibility", () => {
  it("names the noise of each program", () => {
    expect(rulesOf(undefined)).toMatchObject({ source: "cpu", generators: "image" });
    expect(rulesOf("a1111")).toMatchObject({ source: "philox", generators: "image", timesteps: "fractional" });
    expect(rulesOf("comfy")).toMatchObject({ source: "comfy", generators: "batch", timesteps: "whole" });
  });
});
